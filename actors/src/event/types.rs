//! What an event's type means to us: one table of every spelling that is understood.
//!
//! A type is `<reverse DNS>.<domain>.<subject>.<action>.v<major>`, or one of the dialects
//! `subject.action`, `SUBJECT_ACTION` and `SubjectAction`, which have major 1. Any reverse DNS is
//! accepted, and none; so is a missing version. What is *not* here: what the events carry, and who
//! hears them. Invariant: both tables are in byte order, for they are searched.

use super::EventType;

/// The known types by their canonical names, in order.
pub static KNOWN: &[&str] = &[
    "commerce.order.canceled",
    "commerce.order.placed",
    "commerce.order.shipped",
    "commerce.payment.action_required",
    "commerce.payment.authorized",
    "commerce.payment.canceled",
    "commerce.payment.captured",
    "commerce.payment.created",
    "commerce.payment.failed",
    "commerce.payment.processing",
    "commerce.payment.refunded",
    "identity.user.registered",
    "learning.assignment.graded",
    "learning.assignment.submitted",
    "learning.course.completed",
    "learning.enrollment.canceled",
    "learning.enrollment.completed",
    "learning.enrollment.created",
    "learning.enrollment.failed",
    "learning.lesson.completed",
];

/// Every spelling, in order, with its canonical name.
static SPELLINGS: &[(&str, &str)] = &[
    ("ASSIGNMENT_GRADED", "learning.assignment.graded"),
    ("ASSIGNMENT_SUBMITTED", "learning.assignment.submitted"),
    ("AssignmentGraded", "learning.assignment.graded"),
    ("AssignmentSubmitted", "learning.assignment.submitted"),
    ("COURSE_COMPLETED", "learning.course.completed"),
    ("COURSE_PURCHASED", "commerce.payment.captured"),
    ("CourseCompleted", "learning.course.completed"),
    ("CoursePurchased", "commerce.payment.captured"),
    ("ENROLLMENT_CANCELED", "learning.enrollment.canceled"),
    ("ENROLLMENT_CANCELLED", "learning.enrollment.canceled"),
    ("ENROLLMENT_COMPLETED", "learning.enrollment.completed"),
    ("ENROLLMENT_CREATED", "learning.enrollment.created"),
    ("ENROLLMENT_FAILED", "learning.enrollment.failed"),
    ("EnrollmentCanceled", "learning.enrollment.canceled"),
    ("EnrollmentCancelled", "learning.enrollment.canceled"),
    ("EnrollmentCompleted", "learning.enrollment.completed"),
    ("EnrollmentCreated", "learning.enrollment.created"),
    ("EnrollmentFailed", "learning.enrollment.failed"),
    ("LESSON_COMPLETED", "learning.lesson.completed"),
    ("LessonCompleted", "learning.lesson.completed"),
    ("ORDER_CANCELED", "commerce.order.canceled"),
    ("ORDER_CANCELLED", "commerce.order.canceled"),
    ("ORDER_FULFILLED", "commerce.order.shipped"),
    ("ORDER_PLACED", "commerce.order.placed"),
    ("ORDER_SHIPPED", "commerce.order.shipped"),
    ("OrderCanceled", "commerce.order.canceled"),
    ("OrderCancelled", "commerce.order.canceled"),
    ("OrderFulfilled", "commerce.order.shipped"),
    ("OrderPlaced", "commerce.order.placed"),
    ("OrderShipped", "commerce.order.shipped"),
    ("PAYMENT_ACTION_REQUIRED", "commerce.payment.action_required"),
    ("PAYMENT_AUTHORIZED", "commerce.payment.authorized"),
    ("PAYMENT_CANCELED", "commerce.payment.canceled"),
    ("PAYMENT_CANCELLED", "commerce.payment.canceled"),
    ("PAYMENT_CAPTURED", "commerce.payment.captured"),
    ("PAYMENT_COMPLETED", "commerce.payment.captured"),
    ("PAYMENT_CREATED", "commerce.payment.created"),
    ("PAYMENT_FAILED", "commerce.payment.failed"),
    ("PAYMENT_PROCESSING", "commerce.payment.processing"),
    ("PAYMENT_REFUNDED", "commerce.payment.refunded"),
    ("PAYMENT_SUCCEEDED", "commerce.payment.captured"),
    ("PaymentActionRequired", "commerce.payment.action_required"),
    ("PaymentAuthorized", "commerce.payment.authorized"),
    ("PaymentCanceled", "commerce.payment.canceled"),
    ("PaymentCancelled", "commerce.payment.canceled"),
    ("PaymentCaptured", "commerce.payment.captured"),
    ("PaymentCompleted", "commerce.payment.captured"),
    ("PaymentCreated", "commerce.payment.created"),
    ("PaymentFailed", "commerce.payment.failed"),
    ("PaymentProcessing", "commerce.payment.processing"),
    ("PaymentRefunded", "commerce.payment.refunded"),
    ("PaymentSucceeded", "commerce.payment.captured"),
    ("USER_CREATED", "identity.user.registered"),
    ("USER_REGISTERED", "identity.user.registered"),
    ("UserCreated", "identity.user.registered"),
    ("UserRegistered", "identity.user.registered"),
    ("assignment.graded", "learning.assignment.graded"),
    ("assignment.submitted", "learning.assignment.submitted"),
    ("commerce.course.purchased", "commerce.payment.captured"),
    ("commerce.order.canceled", "commerce.order.canceled"),
    ("commerce.order.cancelled", "commerce.order.canceled"),
    ("commerce.order.fulfilled", "commerce.order.shipped"),
    ("commerce.order.placed", "commerce.order.placed"),
    ("commerce.order.shipped", "commerce.order.shipped"),
    ("commerce.payment.action_required", "commerce.payment.action_required"),
    ("commerce.payment.authorized", "commerce.payment.authorized"),
    ("commerce.payment.canceled", "commerce.payment.canceled"),
    ("commerce.payment.cancelled", "commerce.payment.canceled"),
    ("commerce.payment.captured", "commerce.payment.captured"),
    ("commerce.payment.completed", "commerce.payment.captured"),
    ("commerce.payment.created", "commerce.payment.created"),
    ("commerce.payment.failed", "commerce.payment.failed"),
    ("commerce.payment.processing", "commerce.payment.processing"),
    ("commerce.payment.refunded", "commerce.payment.refunded"),
    ("commerce.payment.succeeded", "commerce.payment.captured"),
    ("course.completed", "learning.course.completed"),
    ("course.purchased", "commerce.payment.captured"),
    ("enrollment.canceled", "learning.enrollment.canceled"),
    ("enrollment.cancelled", "learning.enrollment.canceled"),
    ("enrollment.completed", "learning.enrollment.completed"),
    ("enrollment.created", "learning.enrollment.created"),
    ("enrollment.failed", "learning.enrollment.failed"),
    ("identity.user.created", "identity.user.registered"),
    ("identity.user.registered", "identity.user.registered"),
    ("learning.assignment.graded", "learning.assignment.graded"),
    ("learning.assignment.submitted", "learning.assignment.submitted"),
    ("learning.course.completed", "learning.course.completed"),
    ("learning.course.purchased", "commerce.payment.captured"),
    ("learning.enrollment.canceled", "learning.enrollment.canceled"),
    ("learning.enrollment.cancelled", "learning.enrollment.canceled"),
    ("learning.enrollment.completed", "learning.enrollment.completed"),
    ("learning.enrollment.created", "learning.enrollment.created"),
    ("learning.enrollment.failed", "learning.enrollment.failed"),
    ("learning.lesson.completed", "learning.lesson.completed"),
    ("lesson.completed", "learning.lesson.completed"),
    ("order.canceled", "commerce.order.canceled"),
    ("order.cancelled", "commerce.order.canceled"),
    ("order.fulfilled", "commerce.order.shipped"),
    ("order.placed", "commerce.order.placed"),
    ("order.shipped", "commerce.order.shipped"),
    ("payment.action_required", "commerce.payment.action_required"),
    ("payment.authorized", "commerce.payment.authorized"),
    ("payment.canceled", "commerce.payment.canceled"),
    ("payment.cancelled", "commerce.payment.canceled"),
    ("payment.captured", "commerce.payment.captured"),
    ("payment.completed", "commerce.payment.captured"),
    ("payment.created", "commerce.payment.created"),
    ("payment.failed", "commerce.payment.failed"),
    ("payment.processing", "commerce.payment.processing"),
    ("payment.refunded", "commerce.payment.refunded"),
    ("payment.succeeded", "commerce.payment.captured"),
    ("user.created", "identity.user.registered"),
    ("user.registered", "identity.user.registered"),
];

impl EventType {
    /// What a CloudEvents `type` means to us.
    pub fn of(text: &str) -> Self {
        let (name, major) = split_version(text);
        match canonical(without_reverse_dns(name)) {
            Some(known) if major == "1" => Self::Known(known),
            Some(_) => Self::UnknownMajor,
            None => Self::Unknown,
        }
    }

    /// The canonical name without reverse DNS and version, of a known type.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Known(name) => Some(name),
            Self::UnknownMajor | Self::Unknown => None,
        }
    }
}

/// `a.b.v2` is (`a.b`, `2`); what has no version has major 1.
fn split_version(text: &str) -> (&str, &str) {
    let major = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (name, major) = text.split_at(text.len() - major);
    match name.strip_suffix(".v") {
        Some(name) if !major.is_empty() && !major.starts_with('0') => (name, major),
        _ => (text, "1"),
    }
}

/// The last three segments, or all if there are no more than three.
fn without_reverse_dns(name: &str) -> &str {
    let mut dots = name.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'.');
    dots.nth(2).map_or(name, |(at, _)| &name[at + 1..])
}

fn canonical(spelling: &str) -> Option<&'static str> {
    let at = SPELLINGS.binary_search_by(|(known, _)| (*known).cmp(spelling)).ok()?;
    Some(SPELLINGS[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn both_tables_are_in_order_and_lead_to_known_names() {
        assert!(KNOWN.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SPELLINGS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (spelling, name) in SPELLINGS {
            assert!(KNOWN.contains(name), "{spelling}");
        }
    }

    #[test]
    fn every_spelling_means_its_type_with_and_without_reverse_dns_and_version() {
        for (spelling, name) in SPELLINGS {
            for text in [(*spelling).to_owned(), format!("{spelling}.v1")] {
                assert_eq!(EventType::of(&text), EventType::Known(name), "{text}");
            }
            assert_eq!(EventType::of(&format!("{spelling}.v2")), EventType::UnknownMajor);
            assert_eq!(EventType::of(&format!("{spelling}.x")), EventType::Unknown);
        }
        for name in KNOWN {
            assert_eq!(EventType::of(name), EventType::Known(name));
            for text in [format!("com.bellwether.{name}.v1"), format!("x.{name}")] {
                assert_eq!(EventType::of(&text), EventType::Known(name), "{text}");
            }
            let newer = format!("org.example.shop.{name}.v12");
            assert_eq!(EventType::of(&newer), EventType::UnknownMajor, "{newer}");
        }
    }

    #[test]
    fn every_action_is_understood_in_all_four_dialects() {
        for name in KNOWN {
            let (_, dotted) = name.split_once('.').expect("a name has three segments");
            let snake = dotted.replace('.', "_").to_uppercase();
            let pascal: String = dotted.split(['.', '_']).map(capital).collect();
            for text in [dotted, &snake, &pascal] {
                assert_eq!(EventType::of(text), EventType::Known(name), "{text}");
            }
        }
    }

    fn capital(word: &str) -> String {
        word[..1].to_uppercase() + &word[1..]
    }

    #[test]
    fn the_names_of_the_wild() {
        let rows = [
            "ENROLLMENT_CREATED",
            "COURSE_PURCHASED",
            "PAYMENT_SUCCEEDED",
            "PAYMENT_FAILED",
            "LESSON_COMPLETED",
            "COURSE_COMPLETED",
            "USER_CREATED",
            "COURSE_CREATED",
            "NOTIFICATION_SENT",
            "payment.completed",
            "payment.cancelled",
            "payment.captured",
            "order.placed",
            "order.cancelled",
            "order.shipped",
            "inventory.low-stock",
            "PaymentCompleted",
            "org.example.commerce.order.fulfilled.v1",
            "com.shop.commerce.payment.succeeded.v1",
            "com.shop.learning.lesson.completed.v2",
            "learning.lesson.completed.v01",
            "enrollment.created.",
            "",
            ".",
            "...",
            "v1",
            ".v1",
        ];
        let found: Vec<_> =
            rows.iter().map(|row| format!("{row:?} {:?}", EventType::of(row))).collect();
        expect![[r#"
            "ENROLLMENT_CREATED" Known("learning.enrollment.created")
            "COURSE_PURCHASED" Known("commerce.payment.captured")
            "PAYMENT_SUCCEEDED" Known("commerce.payment.captured")
            "PAYMENT_FAILED" Known("commerce.payment.failed")
            "LESSON_COMPLETED" Known("learning.lesson.completed")
            "COURSE_COMPLETED" Known("learning.course.completed")
            "USER_CREATED" Known("identity.user.registered")
            "COURSE_CREATED" Unknown
            "NOTIFICATION_SENT" Unknown
            "payment.completed" Known("commerce.payment.captured")
            "payment.cancelled" Known("commerce.payment.canceled")
            "payment.captured" Known("commerce.payment.captured")
            "order.placed" Known("commerce.order.placed")
            "order.cancelled" Known("commerce.order.canceled")
            "order.shipped" Known("commerce.order.shipped")
            "inventory.low-stock" Unknown
            "PaymentCompleted" Known("commerce.payment.captured")
            "org.example.commerce.order.fulfilled.v1" Known("commerce.order.shipped")
            "com.shop.commerce.payment.succeeded.v1" Known("commerce.payment.captured")
            "com.shop.learning.lesson.completed.v2" UnknownMajor
            "learning.lesson.completed.v01" Unknown
            "enrollment.created." Unknown
            "" Unknown
            "." Unknown
            "..." Unknown
            "v1" Unknown
            ".v1" Unknown"#]]
        .assert_eq(&found.join("\n"));
    }
}
