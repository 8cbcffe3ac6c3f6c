//! The relays of jostle.

mod sys;
