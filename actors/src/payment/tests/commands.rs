//! The rows of the union machine that commands and timers go through, each played.

use super::super::gateway::{PayerAction, Reason};
use super::*;
use CaptureMode::{Automatic, Manual};
use expect_test::expect;

const DAY_MS: i64 = 24 * 3_600_000;

/// A hold of 1,000, authorized.
fn held() -> Vec<Step> {
    vec![create(Manual), answer(1, authorized(1_000))]
}

/// 1,000 charged.
fn charged() -> Vec<Step> {
    vec![create(Automatic), answer(1, captured("ch_1", 1_000))]
}

#[test]
fn an_automatic_payment_is_one_charge() {
    check(
        &charged(),
        &expect![[r#"
        create: processing/in_flight a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
              > gateway #1 charge None 1000
        #1 Captured { id: "ch_1", amount: 1000 }: completed a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000, capture_id ch_1
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
    "#]],
    );
}

#[test]
fn a_hold_is_captured_in_parts_and_the_rest_released() {
    let then = [
        capture(300),
        capture(1),
        answer(2, captured("cap_1", 300)),
        capture(701),
        capture(200),
        answer(3, captured("cap_2", 200)),
        cancel(),
        answer(4, Answer::Voided),
        capture(1),
    ];
    check_after(
        &held(),
        &then,
        &expect![[r#"
        capture Some(300): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 300
        capture Some(1): REJECTED capture is not possible while the payment is processing (in_flight); nothing is possible now; processing/in_flight a/c/r 1000/0/0 left 1000/0
        #2 Captured { id: "cap_1", amount: 300 }: captured a/c/r 1000/300/0 left 700/300
              > publish captured 300, capture_id cap_1
              > inbox/u-1 captured 300
              > course/c-1 captured 300
        capture Some(701): REJECTED 701 is more than the 700 that can be captured; captured a/c/r 1000/300/0 left 700/300
        capture Some(200): processing/in_flight a/c/r 1000/300/0 left 700/300
              > gateway #3 capture of auth_1 200
        #3 Captured { id: "cap_2", amount: 200 }: captured a/c/r 1000/500/0 left 500/500
              > publish captured 200, capture_id cap_2
              > inbox/u-1 captured 200
              > course/c-1 captured 200
        cancel: processing/in_flight a/c/r 1000/500/0 left 500/500
              > gateway #4 cancel of auth_1 500
        #4 Voided: completed a/c/r 1000/500/0 left 0/500
        capture Some(1): REJECTED capture is not possible while the payment is completed; possible: refund; completed a/c/r 1000/500/0 left 0/500
    "#]],
    );
}

#[test]
fn what_is_not_confirmed_waits_and_runs_out() {
    let mut late = new_payment(Automatic, None);
    late.confirm = false;
    let create = Step::Tell(Event::Create(Box::new(late)));
    let then = [
        confirm(None, None),
        capture(1),
        refund(1),
        timer(),
        Step::Pass(DAY_MS),
        confirm(Some(Token::Visa), None),
        timer(),
        timer(),
        confirm(Some(Token::Visa), None),
    ];
    check_after(
        &[create],
        &then,
        &expect![[r#"
        confirm: REJECTED a method is required; pending/requires_method a/c/r 0/0/0 left 0/0
        capture Some(1): REJECTED capture is not possible while the payment is pending (requires_method); possible: confirm, cancel; pending/requires_method a/c/r 0/0/0 left 0/0
        refund Some(1): REJECTED refund is not possible while the payment is pending (requires_method); possible: confirm, cancel; pending/requires_method a/c/r 0/0/0 left 0/0
        timer: ignored; pending/requires_method a/c/r 0/0/0 left 0/0
        confirm: REJECTED confirm is not possible: its time has run out; pending/requires_method a/c/r 0/0/0 left 0/0
        timer: canceled a/c/r 0/0/0 left 0/0 (expired)
              > publish canceled 1000, reason expired
        timer: ignored; canceled a/c/r 0/0/0 left 0/0 (expired)
        confirm: REJECTED confirm is not possible while the payment is canceled; nothing is possible now; canceled a/c/r 0/0/0 left 0/0 (expired)
    "#]],
    );
}

#[test]
fn a_payer_who_has_to_act_does_or_does_not() {
    let first = || vec![create(Automatic), answer(1, Answer::ActionRequired), confirm(None, None)];
    let succeed = [
        confirm(None, Some(PayerAction::Succeed)),
        answer(2, captured("ch_1", 1_000)),
        confirm(None, Some(PayerAction::Succeed)),
    ];
    check_after(
        &first(),
        &succeed,
        &expect![[r#"
        confirm: processing/in_flight a/c/r 0/0/0 left 0/0
              > gateway #2 charge Some(Succeed) 1000
        #2 Captured { id: "ch_1", amount: 1000 }: completed a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000, capture_id ch_1
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
        confirm: REJECTED confirm is not possible while the payment is completed; possible: refund; completed a/c/r 1000/1000/0 left 0/1000
    "#]],
    );
    let fail = [
        confirm(None, Some(PayerAction::Fail)),
        answer(2, Answer::Declined(Reason::AuthenticationFailed)),
    ];
    check_after(
        &first(),
        &fail,
        &expect![[r#"
        confirm: processing/in_flight a/c/r 0/0/0 left 0/0
              > gateway #2 charge Some(Fail) 1000
        #2 Declined(AuthenticationFailed): failed a/c/r 0/0/0 left 0/0 (authentication_failed)
              > publish failed 1000, reason authentication_failed
              > inbox/u-1 failed 1000
    "#]],
    );
    let other = [confirm(Some(Token::Visa), None), answer(2, captured("ch_1", 1_000))];
    check_after(
        &first(),
        &other,
        &expect![[r#"
        confirm: processing/in_flight a/c/r 0/0/0 left 0/0
              > gateway #2 charge None 1000
        #2 Captured { id: "ch_1", amount: 1000 }: completed a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000, capture_id ch_1
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
    "#]],
    );
    check_after(
        &first(),
        &[Step::Pass(DAY_MS), timer()],
        &expect![[r#"
        timer: canceled a/c/r 0/0/0 left 0/0 (expired)
              > publish canceled 1000, reason expired
    "#]],
    );
}

#[test]
fn a_refused_capture_leaves_the_hold_unless_that_is_gone() {
    let other = [capture(100), answer(2, Answer::Refused(Reason::ExceedsAuthorized))];
    check_after(
        &held(),
        &other,
        &expect![[r#"
        capture Some(100): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 100
        #2 Refused(ExceedsAuthorized): authorized a/c/r 1000/0/0 left 1000/0 (exceeds_authorized)
    "#]],
    );
    let gone = [capture(100), answer(2, Answer::Refused(Reason::HoldGone))];
    check_after(
        &held(),
        &gone,
        &expect![[r#"
        capture Some(100): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 100
        #2 Refused(HoldGone): canceled a/c/r 1000/0/0 left 0/0 (expired_on_capture)
              > publish canceled 1000, reason expired_on_capture
    "#]],
    );
    let rest = [
        capture(100),
        answer(2, captured("cap_1", 100)),
        capture(100),
        answer(3, Answer::Refused(Reason::HoldGone)),
    ];
    check_after(
        &held(),
        &rest,
        &expect![[r#"
        capture Some(100): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 100
        #2 Captured { id: "cap_1", amount: 100 }: captured a/c/r 1000/100/0 left 900/100
              > publish captured 100, capture_id cap_1
              > inbox/u-1 captured 100
              > course/c-1 captured 100
        capture Some(100): processing/in_flight a/c/r 1000/100/0 left 900/100
              > gateway #3 capture of auth_1 100
        #3 Refused(HoldGone): completed a/c/r 1000/100/0 left 0/100
    "#]],
    );
}

#[test]
fn cancel_gives_up_what_is_not_captured() {
    let mut unconfirmed = new_payment(Automatic, Some(Token::Visa));
    unconfirmed.confirm = false;
    let early = [Step::Tell(Event::Create(Box::new(unconfirmed))), cancel(), cancel()];
    check(
        &early,
        &expect![[r#"
        create: pending/new a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
        cancel: canceled a/c/r 0/0/0 left 0/0 (canceled)
              > publish canceled 1000, reason canceled
        cancel: REJECTED cancel is not possible while the payment is canceled; nothing is possible now; canceled a/c/r 0/0/0 left 0/0 (canceled)
    "#]],
    );
    check_after(
        &held(),
        &[cancel(), cancel(), answer(2, Answer::Voided)],
        &expect![[r#"
        cancel: processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 cancel of auth_1 1000
        cancel: REJECTED cancel is not possible while the payment is processing (in_flight); nothing is possible now; processing/in_flight a/c/r 1000/0/0 left 1000/0
        #2 Voided: canceled a/c/r 1000/0/0 left 0/0 (canceled)
              > publish canceled 1000, reason canceled
    "#]],
    );
    let raced = [cancel(), answer(2, Answer::AlreadyCaptured { total: 1_000 })];
    check_after(
        &held(),
        &raced,
        &expect![[r#"
        cancel: processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 cancel of auth_1 1000
        #2 AlreadyCaptured { total: 1000 }: completed a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
    "#]],
    );
}

#[test]
fn a_hold_runs_out() {
    let week = 7 * DAY_MS;
    let then = [Step::Pass(week - 1), timer(), Step::Pass(1), capture(1), timer(), timer()];
    check_after(
        &held(),
        &then,
        &expect![[r#"
        timer: ignored; authorized a/c/r 1000/0/0 left 1000/0
        capture Some(1): REJECTED capture is not possible: its time has run out; authorized a/c/r 1000/0/0 left 1000/0
        timer: canceled a/c/r 1000/0/0 left 0/0 (expired)
              > publish canceled 1000, reason expired
        timer: ignored; canceled a/c/r 1000/0/0 left 0/0 (expired)
    "#]],
    );
    let part = [capture(10), answer(2, captured("cap_1", 10)), Step::Pass(week), timer()];
    check_after(
        &held(),
        &part,
        &expect![[r#"
        capture Some(10): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 10
        #2 Captured { id: "cap_1", amount: 10 }: captured a/c/r 1000/10/0 left 990/10
              > publish captured 10, capture_id cap_1
              > inbox/u-1 captured 10
              > course/c-1 captured 10
        timer: completed a/c/r 1000/10/0 left 0/10
    "#]],
    );
    let in_flight = [capture(10), Step::Pass(week), timer(), answer(2, captured("cap_1", 10))];
    check_after(
        &held(),
        &in_flight,
        &expect![[r#"
        capture Some(10): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 10
        timer: ignored; processing/in_flight a/c/r 1000/0/0 left 1000/0
        #2 Captured { id: "cap_1", amount: 10 }: completed a/c/r 1000/10/0 left 0/10
              > publish captured 10, capture_id cap_1
              > inbox/u-1 captured 10
              > course/c-1 captured 10
    "#]],
    );
}

#[test]
fn refunds_are_reserved_before_the_gateway_is_asked() {
    let then = [
        refund(600),
        refund(600),
        refund(400),
        refund(1),
        answer(3, refunded("re_2", 400)),
        answer(2, Answer::Declined(Reason::ChargeDeclined)),
        Step::Tell(Event::Refund(None)),
        answer(4, refunded("re_3", 600)),
        refund(1),
    ];
    check_after(
        &charged(),
        &then,
        &expect![[r#"
        refund Some(600): completed a/c/r 1000/1000/0 left 0/400
              > gateway #2 refund 600
        refund Some(600): REJECTED 600 is more than the 400 that can be refunded; completed a/c/r 1000/1000/0 left 0/400
        refund Some(400): completed a/c/r 1000/1000/0 left 0/0
              > gateway #3 refund 400
        refund Some(1): REJECTED refund is not possible while the payment is completed; nothing is possible now; completed a/c/r 1000/1000/0 left 0/0
        #3 Refunded { id: "re_2", amount: 400 }: partially_refunded a/c/r 1000/1000/400 left 0/0
              > publish refunded 400, refund_id re_2
              > inbox/u-1 refunded 400
              > course/c-1 refunded 400
        #2 Declined(ChargeDeclined): partially_refunded a/c/r 1000/1000/400 left 0/600 (charge_declined)
        refund None: partially_refunded a/c/r 1000/1000/400 left 0/0
              > gateway #4 refund 600
        #4 Refunded { id: "re_3", amount: 600 }: refunded a/c/r 1000/1000/1000 left 0/0
              > publish refunded 600, refund_id re_3
              > inbox/u-1 refunded 600
              > course/c-1 refunded 600
        refund Some(1): REJECTED refund is not possible while the payment is refunded; nothing is possible now; refunded a/c/r 1000/1000/1000 left 0/0
    "#]],
    );
}

#[test]
fn a_refunded_part_leaves_the_held_rest() {
    let then = [
        capture(300),
        answer(2, captured("cap_1", 300)),
        refund(300),
        answer(3, refunded("re_1", 300)),
        capture(700),
        answer(4, captured("cap_2", 700)),
    ];
    check_after(
        &held(),
        &then,
        &expect![[r#"
        capture Some(300): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 300
        #2 Captured { id: "cap_1", amount: 300 }: captured a/c/r 1000/300/0 left 700/300
              > publish captured 300, capture_id cap_1
              > inbox/u-1 captured 300
              > course/c-1 captured 300
        refund Some(300): captured a/c/r 1000/300/0 left 700/0
              > gateway #3 refund 300
        #3 Refunded { id: "re_1", amount: 300 }: partially_refunded a/c/r 1000/300/300 left 700/0
              > publish refunded 300, refund_id re_1
              > inbox/u-1 refunded 300
              > course/c-1 refunded 300
        capture Some(700): processing/in_flight a/c/r 1000/300/300 left 700/0
              > gateway #4 capture of auth_1 700
        #4 Captured { id: "cap_2", amount: 700 }: partially_refunded a/c/r 1000/1000/300 left 0/700
              > publish captured 700, capture_id cap_2
              > inbox/u-1 captured 700
              > course/c-1 captured 700
    "#]],
    );
}

#[test]
fn nothing_happens_twice_or_out_of_nothing() {
    check(
        &[confirm(None, None), cancel(), timer(), lost(1), create(Automatic), create(Automatic)],
        &expect![[r#"
            confirm: REJECTED there is no such payment; nothing
            cancel: REJECTED there is no such payment; nothing
            timer: ignored; nothing
            #1 lost: ignored; nothing
            create: processing/in_flight a/c/r 0/0/0 left 0/0
                  > publish created 1000
                  > at +24 h
                  > gateway #1 charge None 1000
            create: REJECTED this payment exists already; processing/in_flight a/c/r 0/0/0 left 0/0
        "#]],
    );
}
