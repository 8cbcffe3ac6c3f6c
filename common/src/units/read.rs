//! Units in JSON: a string with a unit, or a number where that cannot be mistaken.

use super::{
    BitRate, ByteSize, Frequency, Probability, UnitError, format_duration, parse_duration,
};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A quantity that JSON holds as a string with a unit or as a bare number.
trait Quantity: Sized {
    const EXPECTED: &'static str;
    fn from_text(text: &str) -> Result<Self, UnitError>;
    fn from_number(number: f64) -> Result<Self, UnitError>;
}

struct QuantityVisitor<T>(PhantomData<T>);

impl<T: Quantity> Visitor<'_> for QuantityVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        T::from_number(number).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number as f64).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::from_number(number as f64).map_err(E::custom)
    }
}

macro_rules! quantity {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(QuantityVisitor(PhantomData))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

quantity!(Probability);
quantity!(BitRate);
quantity!(ByteSize);
quantity!(Frequency);
quantity!(Span);

/// A time as settings hold it; [`Duration`] with a unit in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
    }
}

impl std::str::FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_duration(text).map(Self)
    }
}

impl Quantity for Probability {
    const EXPECTED: &'static str = "a probability such as \"2%\" or 0.02";

    fn from_text(text: &str) -> Result<Self, UnitError> {
        text.parse()
    }

    fn from_number(number: f64) -> Result<Self, UnitError> {
        Self::new(number).ok_or_else(|| {
            UnitError::new(
                format!("{number} is not between 0 and 1"),
                format!("write \"{}%\"", number.abs()),
            )
        })
    }
}

impl Quantity for BitRate {
    const EXPECTED: &'static str = "a rate such as \"10Mbit/s\"";

    fn from_text(text: &str) -> Result<Self, UnitError> {
        text.parse()
    }

    fn from_number(number: f64) -> Result<Self, UnitError> {
        number.to_string().parse()
    }
}

impl Quantity for ByteSize {
    const EXPECTED: &'static str = "a size such as \"64KiB\"";

    fn from_text(text: &str) -> Result<Self, UnitError> {
        text.parse()
    }

    fn from_number(number: f64) -> Result<Self, UnitError> {
        number.to_string().parse()
    }
}

impl Quantity for Span {
    const EXPECTED: &'static str = "a time such as \"50ms\"";

    fn from_text(text: &str) -> Result<Self, UnitError> {
        parse_duration(text).map(Self)
    }

    fn from_number(number: f64) -> Result<Self, UnitError> {
        parse_duration(&number.to_string()).map(Self)
    }
}

impl Quantity for Frequency {
    const EXPECTED: &'static str = "a frequency such as \"0.125Hz\"";

    fn from_text(text: &str) -> Result<Self, UnitError> {
        text.parse()
    }

    fn from_number(number: f64) -> Result<Self, UnitError> {
        number.to_string().parse()
    }
}
