//! The requests that a client makes on one connection, one after the other, and the answers to
//! them: whose each byte is.
//!
//! An exchange is over once the request and its answer are. Only then is the next request looked
//! at, so what a client sends too early waits, answers come in the order of their requests, and no
//! byte of one can be taken for another's. Bytes of a server that nothing was asked of are
//! nobody's.

use super::Negotiation;
use crate::{Asked, Credentials, Progress};
use jostle_common::http1::{RequestFraming, ResponseFraming, ResponseState};

/// The most bytes behind a request that are read before it has been answered.
const BEYOND_BYTES_MAX: usize = 8 << 10;

/// What a request says about the exchange that it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its answer has no body (HEAD).
    pub no_body: bool,
    /// It asks for another protocol.
    pub upgrade: bool,
    /// Its client makes no other request on this connection.
    pub last: bool,
}

/// The requests of one client, seen from the first one's head on.
#[derive(Debug)]
pub struct Requests {
    step: Step,
    /// What stands behind the request, and was read already.
    beyond: Vec<u8>,
}

#[derive(Debug)]
enum Step {
    /// A request is under way, or its answer.
    Exchange { body: RequestFraming, answer: Box<ResponseFraming>, is_last: bool },
    /// The next request is heard.
    Next(Box<Negotiation>),
    /// It was heard, or is none.
    Heard(Box<NextRequest>),
}

/// The next request of a client, as far as its head.
#[derive(Debug)]
pub struct NextRequest {
    /// What was asked for, or why it was refused.
    pub progress: Progress,
    /// What is to be answered to a request that was refused.
    pub answer: Vec<u8>,
    /// The framing of its body.
    pub body: RequestFraming,
    /// What was read behind its head.
    pub rest: Vec<u8>,
}

/// What is to be read of a client now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// So many bytes, at most.
    Read(usize),
    /// Nothing, until the answer is there: the next request has begun to come.
    Held,
    /// Nothing: a request has been heard that nobody took yet.
    Heard,
    /// Nothing any more: the last request is over, and what comes behind it is nobody's.
    Over,
}

/// What became of bytes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many, from the first on, are the request's.
    Own(usize),
    /// They are kept; nothing is to be passed on.
    Kept,
    /// They end the head of the next request, or spoil it.
    Heard,
    /// They are nobody's: the last request is over, or its body cannot be read.
    Over,
}

/// What an exchange has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It goes on, or another one has not begun.
    No,
    /// It is over: the client is read again, for the next request.
    Next,
    /// It will end with the connection: the client is read again, for its end.
    Last,
    /// The connection speaks another protocol from now on, and nothing is followed any more.
    Tunnel,
}

impl Requests {
    /// Begins the exchange of a request with this body, of which `rest` was read already. Returns
    /// how many bytes of that belong to it.
    pub fn begin(mut body: RequestFraming, expected: Expected, rest: &[u8]) -> (Self, usize) {
        let own = body.follow_one(rest);
        let answer = Box::new(ResponseFraming::new(expected.no_body, expected.upgrade));
        let step = Step::Exchange { body, answer, is_last: expected.last };
        (Self { step, beyond: rest[own..].to_vec() }, own)
    }

    /// Returns what is to be read of the client. `blocked`: it has yet to take what it was
    /// answered.
    pub fn intake(&self, blocked: bool) -> Intake {
        match &self.step {
            Step::Exchange { body, .. } if body.wrong().is_some() => Intake::Over,
            Step::Exchange { body, .. } if !body.is_between() => {
                Intake::Read(body.wanted(BEYOND_BYTES_MAX))
            }
            Step::Exchange { .. } if self.beyond.is_empty() => Intake::Read(BEYOND_BYTES_MAX),
            Step::Exchange { .. } if self.is_last() => Intake::Over,
            Step::Exchange { .. } => Intake::Held,
            // An answer of ours must not overtake the one before.
            Step::Next(_) | Step::Heard(_) if blocked => Intake::Held,
            Step::Next(_) => Intake::Read(BEYOND_BYTES_MAX),
            Step::Heard(_) => Intake::Heard,
        }
    }

    /// Takes bytes of the client.
    pub fn handle(&mut self, bytes: &[u8]) -> Taken {
        let is_last = self.is_last();
        match &mut self.step {
            Step::Exchange { body, .. } if !body.is_between() => {
                let own = body.follow_one(bytes);
                self.beyond.extend_from_slice(&bytes[own..]);
                if own > 0 { Taken::Own(own) } else { Taken::Over }
            }
            Step::Exchange { .. } if is_last => Taken::Over,
            Step::Exchange { .. } => {
                self.beyond.extend_from_slice(bytes);
                Taken::Kept
            }
            Step::Next(_) => self.hear(bytes),
            Step::Heard(_) => Taken::Heard,
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Taken {
        let Step::Next(negotiation) = &mut self.step else { return Taken::Kept };
        let mut answer = Vec::new();
        match negotiation.handle(bytes, &mut answer) {
            Progress::More => Taken::Kept,
            progress => {
                let (body, rest) = (negotiation.body(), negotiation.rest());
                let next = NextRequest { progress, answer, body, rest };
                self.step = Step::Heard(Box::new(next));
                Taken::Heard
            }
        }
    }

    /// Takes bytes that come from the server, and returns how many of them belong to the answer;
    /// the others were not asked for.
    pub fn answer(&mut self, bytes: &[u8]) -> usize {
        match &mut self.step {
            Step::Exchange { answer, .. } => answer.follow(bytes),
            Step::Next(_) | Step::Heard(_) => 0,
        }
    }

    /// Looks whether the exchange is over, once what came from the server was passed on. The next
    /// request is to name `user`. Of a tunnel [`beyond`](Self::beyond) are the client's next bytes.
    pub fn turn(&mut self, user: Option<&Credentials>) -> Turned {
        let Step::Exchange { body, answer, .. } = &self.step else { return Turned::No };
        let (is_asked, state) = (body.is_between(), answer.state());
        if is_asked && state == ResponseState::Upgraded {
            return Turned::Tunnel;
        }
        if self.is_last() {
            return if self.beyond.is_empty() { Turned::No } else { Turned::Last };
        }
        if !is_asked || state != ResponseState::Ended {
            return Turned::No;
        }
        self.step = Step::Next(Box::new(Negotiation::new(user.cloned())));
        let beyond = std::mem::take(&mut self.beyond);
        if !beyond.is_empty() {
            self.hear(&beyond);
        }
        Turned::Next
    }

    /// Returns true if nothing is asked for, and no request has begun to come.
    pub fn is_idle(&self) -> bool {
        matches!(&self.step, Step::Next(negotiation) if negotiation.is_untouched())
    }

    /// Returns true if the head of the next request has begun to come, and is not whole.
    pub fn is_hearing(&self) -> bool {
        matches!(&self.step, Step::Next(negotiation) if !negotiation.is_untouched())
    }

    /// Takes what was read behind the request.
    pub fn beyond(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.beyond)
    }

    /// Takes the next request, once it was heard.
    pub fn take_next(&mut self) -> Option<NextRequest> {
        if !matches!(self.step, Step::Heard(_)) {
            return None;
        }
        let none = Step::Next(Box::new(Negotiation::new(None)));
        match std::mem::replace(&mut self.step, none) {
            Step::Heard(next) => Some(*next),
            Step::Exchange { .. } | Step::Next(_) => None,
        }
    }

    /// Returns true if no request may follow the one that is under way.
    fn is_last(&self) -> bool {
        match &self.step {
            Step::Exchange { body, answer, is_last } => {
                *is_last || body.wrong().is_some() || answer.state() == ResponseState::Last
            }
            Step::Next(_) | Step::Heard(_) => false,
        }
    }
}

impl NextRequest {
    /// Returns true if it asks for the same target as the one before.
    pub fn is_for(&self, known: &crate::Target) -> bool {
        matches!(&self.progress, Progress::Asked(Asked::Fetch { target, .. }) if target == known)
    }
}
