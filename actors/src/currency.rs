//! Money's words: the currencies somebody can be paid in, and amounts in their minor units.
//!
//! Amounts are whole numbers of minor units, never floats. What is *not* here: what a payment may
//! do with its money. Invariant: a [`Currency`] that came through [`Currency::parse`] is in the
//! table below.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The greatest amount of one payment, capture or refund, in minor units.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// ISO 4217, active codes in order, without metals, units of account and test codes. ANG and BGN
/// have been withdrawn, but refunds of what was bought in them still happen.
const ACTIVE: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT",
    "BGN", "BHD", "BIF", "BMD", "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD",
    "CAD", "CDF", "CHE", "CHF", "CHW", "CLF", "CLP", "CNY", "COP", "COU", "CRC", "CUP", "CVE",
    "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL",
    "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR",
    "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD",
    "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK",
    "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO",
    "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON",
    "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD",
    "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD",
    "TZS", "UAH", "UGX", "USD", "USN", "UYI", "UYU", "UYW", "UZS", "VED", "VES", "VND", "VUV",
    "WST", "XAD", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG",
];

/// Those whose minor unit is not a hundredth, with their decimal digits.
const DIGITS: &[(&str, u8)] = &[
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// An ISO 4217 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of this code; `None` if there is none, or it is not in upper case.
    pub fn parse(code: &str) -> Option<Self> {
        let bytes = code.as_bytes().try_into().ok()?;
        ACTIVE.binary_search(&code).is_ok().then_some(Self(bytes))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is three ASCII letters")
    }

    /// How many decimal digits its minor unit stands for: 2 for EUR, 0 for JPY.
    pub fn digits(self) -> u8 {
        DIGITS.binary_search_by(|(code, _)| (*code).cmp(self.as_str())).map_or(2, |at| DIGITS[at].1)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    /// Any three upper-case letters: what was stored is read even after a code has left the table.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Currency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a currency code of three upper-case letters")
            }

            fn visit_str<E: de::Error>(self, code: &str) -> Result<Currency, E> {
                match <[u8; 3]>::try_from(code.as_bytes()) {
                    Ok(bytes) if bytes.iter().all(u8::is_ascii_uppercase) => Ok(Currency(bytes)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(code), &self)),
                }
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// An amount as people read it: `49.99 EUR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// In minor units.
    pub amount: i64,
    /// Of this currency.
    pub currency: Currency,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = u32::from(self.currency.digits());
        let unit = 10u64.pow(digits);
        let amount = self.amount.unsigned_abs();
        let sign = if self.amount < 0 { "-" } else { "" };
        write!(f, "{sign}{}", amount / unit)?;
        if digits > 0 {
            write!(f, ".{:0width$}", amount % unit, width = digits as usize)?;
        }
        write!(f, " {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order() {
        assert!(ACTIVE.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(DIGITS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(DIGITS.iter().all(|(code, _)| ACTIVE.contains(code)));
    }

    #[test]
    fn only_active_codes_in_upper_case_are_currencies() {
        for code in ["EUR", "USD", "AED", "ZWG", "JPY"] {
            assert_eq!(Currency::parse(code).expect(code).as_str(), code);
        }
        for code in ["", "eur", "EU", "EURO", "XXX", "XTS", "DEM", "€", "ÄÖ"] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
    }

    #[test]
    fn money_reads_as_people_write_it() {
        let cases = [
            (4_999, "EUR", "49.99 EUR"),
            (5, "USD", "0.05 USD"),
            (1_200, "JPY", "1200 JPY"),
            (1_234_567, "KWD", "1234.567 KWD"),
            (-150, "EUR", "-1.50 EUR"),
        ];
        for (amount, code, text) in cases {
            let currency = Currency::parse(code).expect(code);
            assert_eq!(Money { amount, currency }.to_string(), text);
        }
    }

    #[test]
    fn a_currency_is_stored_as_its_code() {
        let euro = Currency::parse("EUR").expect("EUR");
        assert_eq!(crate::codec::encode(&euro), [3, b'E', b'U', b'R']);
        assert_eq!(crate::codec::decode::<Currency>(&[3, b'E', b'U', b'R']).expect("EUR"), euro);
        assert!(crate::codec::decode::<Currency>(&[3, b'e', b'u', b'r']).is_err());
    }
}
