//! The rows where the outside has its say: lost and late answers, late money, facts alone,
//! contradictions.

use super::super::gateway::Reason;
use super::*;
use CaptureMode::{Automatic, Manual};
use expect_test::expect;

/// A hold of 1,000, authorized.
fn held() -> Vec<Step> {
    vec![create(Manual), answer(1, authorized(1_000))]
}

/// 1,000 charged.
fn charged() -> Vec<Step> {
    vec![create(Automatic), answer(1, captured("ch_1", 1_000))]
}

#[test]
fn a_decline_is_the_end_unless_money_turns_up_late() {
    let steps = [
        create(Automatic),
        answer(1, Answer::Declined(Reason::InsufficientFunds)),
        confirm(Some(Token::Visa), None),
        cancel(),
        fact(FactKind::Captured, 1_000, None),
    ];
    check(
        &steps,
        &expect![[r#"
        create: processing/in_flight a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
              > gateway #1 charge None 1000
        #1 Declined(InsufficientFunds): failed a/c/r 0/0/0 left 0/0 (insufficient_funds)
              > publish failed 1000, reason insufficient_funds
              > inbox/u-1 failed 1000
        confirm: REJECTED confirm is not possible while the payment is failed; nothing is possible now; failed a/c/r 0/0/0 left 0/0 (insufficient_funds)
        cancel: REJECTED cancel is not possible while the payment is failed; nothing is possible now; failed a/c/r 0/0/0 left 0/0 (insufficient_funds)
        fact: captured 1000 None: completed a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000, inward
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
    "#]],
    );
}

#[test]
fn a_lost_answer_is_no_answer() {
    let steps = [
        create(Automatic),
        lost(1),
        lost(1),
        cancel(),
        refund(1),
        fact(FactKind::Captured, 1_000, None),
        answer(1, captured("ch_1", 1_000)),
        answer(1, captured("ch_1", 1_000)),
        answer(9, captured("ch_9", 1_000)),
    ];
    check(
        &steps,
        &expect![[r#"
        create: processing/in_flight a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
              > gateway #1 charge None 1000
        #1 lost: processing/outcome_unknown a/c/r 0/0/0 left 0/0
        #1 lost: ignored; processing/outcome_unknown a/c/r 0/0/0 left 0/0
        cancel: REJECTED cancel is not possible while the payment is processing (outcome_unknown); nothing is possible now; processing/outcome_unknown a/c/r 0/0/0 left 0/0
        refund Some(1): REJECTED refund is not possible while the payment is processing (outcome_unknown); nothing is possible now; processing/outcome_unknown a/c/r 0/0/0 left 0/0
        fact: captured 1000 None: processing/outcome_unknown a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000, inward
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
        #1 Captured { id: "ch_1", amount: 1000 }: completed a/c/r 1000/1000/0 left 0/1000
        #1 Captured { id: "ch_1", amount: 1000 }: ignored; completed a/c/r 1000/1000/0 left 0/1000
        #9 Captured { id: "ch_9", amount: 1000 }: ignored; completed a/c/r 1000/1000/0 left 0/1000
    "#]],
    );
    let then = [refund(400), lost(2), refund(700), answer(2, refunded("re_1", 400))];
    check_after(
        &charged(),
        &then,
        &expect![[r#"
        refund Some(400): completed a/c/r 1000/1000/0 left 0/600
              > gateway #2 refund 400
        #2 lost: completed a/c/r 1000/1000/0 left 0/600
        refund Some(700): REJECTED 700 is more than the 600 that can be refunded; completed a/c/r 1000/1000/0 left 0/600
        #2 Refunded { id: "re_1", amount: 400 }: partially_refunded a/c/r 1000/1000/400 left 0/600
              > publish refunded 400, refund_id re_1
              > inbox/u-1 refunded 400
              > course/c-1 refunded 400
    "#]],
    );
}

#[test]
fn a_gateway_that_answers_later_is_answered_for_by_facts() {
    let charge = [
        create(Automatic),
        answer(1, Answer::Processing),
        fact(FactKind::Captured, 1_000, Some("ch_1")),
    ];
    check(
        &charge,
        &expect![[r#"
        create: processing/in_flight a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
              > gateway #1 charge None 1000
        #1 Processing: processing/gateway_pending a/c/r 0/0/0 left 0/0
        fact: captured 1000 Some("ch_1"): completed a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000, capture_id ch_1, inward
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
    "#]],
    );
    let failed =
        [create(Automatic), answer(1, Answer::Processing), fact(FactKind::Failed, 1_000, None)];
    check(
        &failed,
        &expect![[r#"
        create: processing/in_flight a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
              > gateway #1 charge None 1000
        #1 Processing: processing/gateway_pending a/c/r 0/0/0 left 0/0
        fact: failed 1000 None: failed a/c/r 0/0/0 left 0/0 (failed)
              > publish failed 1000, reason failed, inward
              > inbox/u-1 failed 1000
    "#]],
    );
    let part = [
        capture(400),
        answer(2, Answer::Processing),
        fact(FactKind::Captured, 400, Some("cap_1")),
        capture(601),
    ];
    check_after(
        &held(),
        &part,
        &expect![[r#"
        capture Some(400): processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 capture of auth_1 400
        #2 Processing: processing/gateway_pending a/c/r 1000/0/0 left 1000/0
        fact: captured 400 Some("cap_1"): captured a/c/r 1000/400/0 left 600/400
              > publish captured 400, capture_id cap_1, inward
              > inbox/u-1 captured 400
              > course/c-1 captured 400
        capture Some(601): REJECTED 601 is more than the 600 that can be captured; captured a/c/r 1000/400/0 left 600/400
    "#]],
    );
}

#[test]
fn money_that_comes_after_the_end_goes_back() {
    let then = [
        cancel(),
        answer(2, Answer::Voided),
        fact(FactKind::Captured, 1_000, Some("late")),
        refund(1),
        answer(3, refunded("re_1", 1_000)),
    ];
    check_after(
        &held(),
        &then,
        &expect![[r#"
        cancel: processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 cancel of auth_1 1000
        #2 Voided: canceled a/c/r 1000/0/0 left 0/0 (canceled)
              > publish canceled 1000, reason canceled
        fact: captured 1000 Some("late"): canceled/compensating a/c/r 1000/1000/0 left 0/0 (canceled)
              > publish captured 1000, capture_id late, inward
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
              > gateway #3 refund 1000
        refund Some(1): REJECTED refund is not possible while the payment is canceled (compensating); nothing is possible now; canceled/compensating a/c/r 1000/1000/0 left 0/0 (canceled)
        #3 Refunded { id: "re_1", amount: 1000 }: canceled a/c/r 1000/1000/1000 left 0/0 (canceled)
              > publish refunded 1000, refund_id re_1
              > inbox/u-1 refunded 1000
              > course/c-1 refunded 1000
    "#]],
    );
    let stuck = [
        cancel(),
        answer(2, Answer::Voided),
        fact(FactKind::Captured, 1_000, Some("late")),
        answer(3, Answer::Refused(Reason::ExceedsCaptured)),
    ];
    check_after(
        &held(),
        &stuck,
        &expect![[r#"
        cancel: processing/in_flight a/c/r 1000/0/0 left 1000/0
              > gateway #2 cancel of auth_1 1000
        #2 Voided: canceled a/c/r 1000/0/0 left 0/0 (canceled)
              > publish canceled 1000, reason canceled
        fact: captured 1000 Some("late"): canceled/compensating a/c/r 1000/1000/0 left 0/0 (canceled)
              > publish captured 1000, capture_id late, inward
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
              > gateway #3 refund 1000
        #3 Refused(ExceedsCaptured): processing/conflicted a/c/r 1000/1000/0 left 0/1000 (late_money_not_returned)
    "#]],
    );
}

#[test]
fn contradictions_stop_everything() {
    let mut dollars = a_fact(FactKind::Captured, 1_000, None);
    dollars.currency = Currency::parse("USD").expect("USD");
    let other_currency = [Step::Tell(Event::Fact(Box::new(dollars))), refund(1)];
    check_after(
        &charged(),
        &other_currency,
        &expect![[r#"
        fact: captured 1000 None: processing/conflicted a/c/r 1000/1000/0 left 0/1000 (currencies_differ)
        refund Some(1): REJECTED refund is not possible while the payment is processing (conflicted); nothing is possible now; processing/conflicted a/c/r 1000/1000/0 left 0/1000 (currencies_differ)
    "#]],
    );
    check_after(
        &held(),
        &[fact(FactKind::Captured, 1_001, None), capture(1)],
        &expect![[r#"
        fact: captured 1001 None: processing/conflicted a/c/r 1001/1001/0 left 0/1001 (captured_more_than_requested)
        capture Some(1): REJECTED capture is not possible while the payment is processing (conflicted); nothing is possible now; processing/conflicted a/c/r 1001/1001/0 left 0/1001 (captured_more_than_requested)
    "#]],
    );
    let differs = [
        fact(FactKind::Captured, 10, Some("a")),
        fact(FactKind::Captured, 11, Some("a")),
        fact(FactKind::Captured, 11, Some("a")),
    ];
    check(
        &differs,
        &expect![[r#"
            fact: captured 10 Some("a"): completed a/c/r 10/10/0 left 0/10
                  > publish captured 10, capture_id a, inward
                  > inbox/u-1 captured 10
                  > course/c-1 captured 10
            fact: captured 11 Some("a"): processing/conflicted a/c/r 11/11/0 left 0/11 (amounts_of_one_movement_differ)
            fact: captured 11 Some("a"): ignored; processing/conflicted a/c/r 11/11/0 left 0/11 (amounts_of_one_movement_differ)
        "#]],
    );
    check(
        &[create(Automatic), answer(1, Answer::Voided)],
        &expect![[r#"
        create: processing/in_flight a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
              > gateway #1 charge None 1000
        #1 Voided: processing/conflicted a/c/r 0/0/0 left 0/0 (answer_does_not_fit)
    "#]],
    );
    check(
        &[create(Automatic), answer(1, captured("ch_1", 1_001))],
        &expect![[r#"
        create: processing/in_flight a/c/r 0/0/0 left 0/0
              > publish created 1000
              > at +24 h
              > gateway #1 charge None 1000
        #1 Captured { id: "ch_1", amount: 1001 }: processing/conflicted a/c/r 1001/1001/0 left 0/1001 (captured_more_than_requested)
    "#]],
    );
}

#[test]
fn facts_alone_make_a_payment_that_is_only_followed() {
    let steps = [
        capture(1),
        fact(FactKind::Refunded, 400, Some("r1")),
        fact(FactKind::Captured, 1_000, None),
        fact(FactKind::Captured, 1_000, None),
        fact(FactKind::Created, 1_000, None),
        fact(FactKind::Authorized, 1_000, None),
        fact(FactKind::Refunded, 1_000, None),
        refund(1),
        create(Automatic),
    ];
    check(
        &steps,
        &expect![[r#"
        capture Some(1): REJECTED there is no such payment; nothing
        fact: refunded 400 Some("r1"): processing/gateway_pending a/c/r 0/0/400 left 0/0
        fact: captured 1000 None: partially_refunded a/c/r 1000/1000/400 left 0/600
              > publish captured 1000, inward
              > inbox/u-1 captured 1000
              > course/c-1 captured 1000
              > publish refunded 400, inward
              > inbox/u-1 refunded 400
              > course/c-1 refunded 400
        fact: captured 1000 None: ignored; partially_refunded a/c/r 1000/1000/400 left 0/600
        fact: created 1000 None: partially_refunded a/c/r 1000/1000/400 left 0/600
              > publish created 1000, inward
        fact: authorized 1000 None: partially_refunded a/c/r 1000/1000/400 left 0/600
              > publish authorized 1000, inward
        fact: refunded 1000 None: refunded a/c/r 1000/1000/1000 left 0/0
              > publish refunded 1000, inward
              > inbox/u-1 refunded 600
              > course/c-1 refunded 600
        refund Some(1): REJECTED this payment is run by another system; refunded a/c/r 1000/1000/1000 left 0/0
        create: REJECTED a payment with this id is run by another system; refunded a/c/r 1000/1000/1000 left 0/0
    "#]],
    );
}

#[test]
fn a_course_that_becomes_known_later_hears_what_it_missed() {
    let without = |kind, amount| {
        let fact = Fact { course_id: None, ..a_fact(kind, amount, None) };
        Step::Tell(Event::Fact(Box::new(fact)))
    };
    let steps = [
        without(FactKind::Captured, 1_000),
        without(FactKind::Refunded, 300),
        fact(FactKind::Created, 1_000, None),
    ];
    check(
        &steps,
        &expect![[r#"
        fact: captured 1000 None: completed a/c/r 1000/1000/0 left 0/1000
              > publish captured 1000, inward
              > inbox/u-1 captured 1000
        fact: refunded 300 None: partially_refunded a/c/r 1000/1000/300 left 0/700
              > publish refunded 300, inward
              > inbox/u-1 refunded 300
        fact: created 1000 None: partially_refunded a/c/r 1000/1000/300 left 0/700
              > publish created 1000, inward
              > course/c-1 captured 1000
              > course/c-1 refunded 300
    "#]],
    );
}
