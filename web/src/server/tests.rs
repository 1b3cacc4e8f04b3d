//! The accept loop over real sockets: slow headers, too many connections, and the drain.

use super::*;
use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A server whose answers wait until the test lets them go.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
    /// Requests that have arrived, each with the way to let it go.
    arrived: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
}

async fn start(limits: Limits) -> Running {
    let server = Server::bind(([127, 0, 0, 1], 0).into(), limits).await.expect("a free port");
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let (arrive, arrived) = mpsc::unbounded_channel();
    let service = service_fn(move |_request: Request<Arriving>| {
        let (let_go, waits) = oneshot::channel::<()>();
        arrive.send(let_go).expect("the test listens");
        async move {
            let _ = waits.await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
        }
    });
    let shutdown = async { drop(stopped.await) };
    let ended = tokio::spawn(server.serve(service, shutdown));
    Running { address, stop, ended, arrived }
}

const LIMITS: Limits = Limits {
    connections_max: 10,
    header_wait_max: Duration::from_secs(60),
    drain_max: Duration::from_secs(60),
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.expect("the server accepts")
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.expect("the server hangs up in order");
    String::from_utf8(text).expect("ASCII")
}

/// Reads one answer, and leaves the connection open.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"done") {
        assert!(stream.read_buf(&mut text).await.expect("an answer") > 0, "it ended early");
    }
    String::from_utf8(text).expect("ASCII")
}

#[tokio::test]
async fn headers_that_do_not_arrive_cost_the_connection() {
    let limits = Limits { header_wait_max: Duration::from_millis(50), ..LIMITS };
    let mut running = start(limits).await;
    let silent = connect(&running).await;
    let mut slow = connect(&running).await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("written");
    assert_eq!(read_to_end(silent).await, "");
    assert!(!read_to_end(slow).await.contains("200"));
    assert!(running.arrived.try_recv().is_err(), "no handler saw a request");
}

#[tokio::test]
async fn a_new_connection_takes_the_seat_of_an_idle_one_and_never_of_a_busy_one() {
    let mut running = start(Limits { connections_max: 2, ..LIMITS }).await;
    let mut busy = connect(&running).await;
    busy.write_all(REQUEST).await.expect("written");
    let let_busy_go = running.arrived.recv().await.expect("a request");
    let mut idle = connect(&running).await;
    idle.write_all(REQUEST).await.expect("written");
    drop(running.arrived.recv().await.expect("a request"));
    assert!(read_answer(&mut idle).await.starts_with("HTTP/1.1 200"));

    let mut third = connect(&running).await;
    third.write_all(REQUEST).await.expect("written");
    assert_eq!(read_to_end(idle).await, "", "the idle one is closed for the third");
    let let_third_go = running.arrived.recv().await.expect("the third is served");

    let refused = connect(&running).await;
    let answer = read_to_end(refused).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1") && answer.contains("\"code\":\"overloaded\""));

    drop((let_busy_go, let_third_go));
    assert!(read_answer(&mut busy).await.starts_with("HTTP/1.1 200"));
    assert!(read_answer(&mut third).await.starts_with("HTTP/1.1 200"));
}

/// A server with one seat, whose answers are larger than what the kernel holds for a client.
async fn start_large(header_wait_max: Duration) -> SocketAddr {
    let limits = Limits { connections_max: 1, header_wait_max, ..LIMITS };
    let server = Server::bind(([127, 0, 0, 1], 0).into(), limits).await.expect("a free port");
    let address = server.address();
    let service = service_fn(|request: Request<Arriving>| async move {
        let bytes = if request.method() == "GET" { vec![b'x'; 32 << 20] } else { Vec::new() };
        // As the door does: what is sent is read before it is answered.
        let _ = http_body_util::BodyExt::collect(request.into_body()).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(bytes))))
    });
    tokio::spawn(server.serve(service, std::future::pending()));
    address
}

const BODY_BEGUN: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n12345";

#[tokio::test]
async fn who_keeps_us_waiting_gives_way_to_who_does_not() {
    let address = start_large(Duration::from_secs(60)).await;
    // Two requests: the answer to the second one can't even be begun.
    for waits in [[REQUEST, REQUEST].concat(), BODY_BEGUN.to_vec()] {
        let mut slow = TcpStream::connect(address).await.expect("the server accepts");
        slow.write_all(&waits).await.expect("written");
        // Refused for as long as the slow one's turn is ours.
        loop {
            let mut other = TcpStream::connect(address).await.expect("the server accepts");
            other.write_all(b"PUT / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
            let mut answer = [0; 12];
            other.read_exact(&mut answer).await.expect("an answer");
            if &answer == b"HTTP/1.1 200" {
                break;
            }
            assert_eq!(&answer, b"HTTP/1.1 503");
        }
        let mut rest = Vec::new();
        // Whether it is told by an end or by a reset is the kernel's.
        let _ = slow.read_to_end(&mut rest).await;
        assert!(rest.len() < 32 << 20, "{} bytes", rest.len());
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_hung_up_on() {
    let wait_max = Duration::from_millis(200);
    let address = start_large(wait_max).await;
    let mut deaf = TcpStream::connect(address).await.expect("the server accepts");
    deaf.write_all(REQUEST).await.expect("written");
    let began = std::time::Instant::now();
    // Nothing is read; what can still be written says when the other side is gone.
    while deaf.write_all(b" ").await.is_ok() {
        sleep(wait_max / 10).await;
    }
    assert!(began.elapsed() >= wait_max);
}

#[tokio::test]
async fn a_drain_ends_what_is_idle_and_waits_for_what_is_under_way() {
    let mut running = start(LIMITS).await;
    let mut idle = connect(&running).await;
    idle.write_all(REQUEST).await.expect("written");
    drop(running.arrived.recv().await.expect("a request"));
    read_answer(&mut idle).await;
    let mut busy = connect(&running).await;
    busy.write_all(REQUEST).await.expect("written");
    let let_go = running.arrived.recv().await.expect("a request");

    running.stop.send(()).expect("the server runs");
    assert_eq!(read_to_end(idle).await, "");
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody is let in any more");
    assert!(!running.ended.is_finished());
    drop(let_go);
    let answer = read_to_end(busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    assert_eq!(running.ended.await.expect("no panic"), Drained { cut_off: 0 });
}

#[tokio::test]
async fn a_drain_has_an_end_even_if_an_answer_has_none() {
    let mut running = start(Limits { drain_max: Duration::from_millis(50), ..LIMITS }).await;
    let mut stuck = connect(&running).await;
    stuck.write_all(REQUEST).await.expect("written");
    let _never_let_go = running.arrived.recv().await.expect("a request");
    running.stop.send(()).expect("the server runs");
    assert_eq!(running.ended.await.expect("no panic"), Drained { cut_off: 1 });
    assert_eq!(read_to_end(stuck).await, "");
}

#[tokio::test]
async fn the_bare_route_answers_with_its_bytes() {
    let server = Server::bind(([127, 0, 0, 1], 0).into(), LIMITS).await.expect("a free port");
    let address = server.address();
    let bytes = Bytes::from_static(b"{\"done\":0}done");
    tokio::spawn(crate::bare::serve(server, bytes, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    stream.write_all(REQUEST).await.expect("written");
    let answer = read_answer(&mut stream).await;
    assert!(answer.contains("content-type: application/json"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"done\":0}done"), "{answer}");
}
