//! Pipes by which the bytes of a stream go from one socket to another without being copied.

#[cfg(target_os = "linux")]
mod with_splice {
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use std::io;

    /// A pipe, and how much is in it.
    #[derive(Debug)]
    pub struct Pipe {
        reader: OwnedFd,
        writer: OwnedFd,
        held: usize,
    }

    impl Pipe {
        /// Makes an empty pipe for `bytes`, or for what the system gives this process instead: it
        /// bounds what all pipes of a user take.
        ///
        /// # Errors
        /// When there are no descriptors for it.
        pub fn new(bytes: usize) -> io::Result<Self> {
            let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
            if let Err(error) = fcntl_setpipe_size(&writer, bytes) {
                log::debug!("a pipe of {bytes} bytes: {error}");
            }
            Ok(Self { reader, writer, held: 0 })
        }

        /// Returns the bytes in it.
        pub const fn held(&self) -> usize {
            self.held
        }

        /// Takes no more than `most` bytes out of a socket that does not block, and returns how many
        /// it took. None are taken at the end of the stream, and where the kernel cannot pass on
        /// what comes next: a read tells which.
        ///
        /// # Errors
        /// `WouldBlock` when there is nothing in the socket, or no room in the pipe; the socket's
        /// error; `InvalidInput` where the system cannot do this.
        pub fn fill(&mut self, from: impl AsFd, most: usize) -> io::Result<usize> {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            let count = splice(from, None, &self.writer, None, most, flags)?;
            self.held += count;
            Ok(count)
        }

        /// Hands what is in it to a socket that does not block, as far as that takes it, and returns
        /// how much that was.
        ///
        /// # Errors
        /// `WouldBlock` when the socket takes nothing; the socket's error; `InvalidInput` where the
        /// system cannot do this.
        pub fn empty(&mut self, into: impl AsFd) -> io::Result<usize> {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            let count = splice(&self.reader, None, into, None, self.held, flags)?;
            self.held -= count;
            Ok(count)
        }

        /// Reads what is in it.
        ///
        /// # Errors
        /// `WouldBlock` when there is nothing.
        pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = rustix::io::read(&self.reader, buffer)?;
            self.held -= count;
            Ok(count)
        }
    }
}

#[cfg(target_os = "linux")]
pub use with_splice::Pipe;

#[cfg(not(target_os = "linux"))]
mod without {
    use std::io;

    /// No such pipe on this system: bytes are read and written.
    #[derive(Debug)]
    pub enum Pipe {}

    impl Pipe {
        /// Always refuses.
        ///
        /// # Errors
        /// Always.
        pub fn new(_: usize) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Never called: there is no value.
        pub const fn held(&self) -> usize {
            match *self {}
        }

        /// Never called.
        ///
        /// # Errors
        /// Never.
        pub fn fill<T>(&mut self, _: T, _: usize) -> io::Result<usize> {
            match *self {}
        }

        /// Never called.
        ///
        /// # Errors
        /// Never.
        pub fn empty<T>(&mut self, _: T) -> io::Result<usize> {
            match *self {}
        }

        /// Never called.
        ///
        /// # Errors
        /// Never.
        pub fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            match *self {}
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub use without::Pipe;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("loopback");
        let (server, _) = listener.accept().expect("a client");
        (client, server)
    }

    #[test]
    fn bytes_pass_in_order_and_what_is_inside_is_known() {
        let ((mut sender, from), (into, mut receiver)) = (pair(), pair());
        from.set_nonblocking(true).expect("a socket");
        let mut pipe = Pipe::new(1 << 16).expect("descriptors");
        let nothing = pipe.fill(&from, 100).map_err(|error| error.kind());
        assert_eq!(nothing, Err(ErrorKind::WouldBlock));
        sender.write_all(b"0123456789").expect("room");
        let mut peeked = [0; 10];
        while from.peek(&mut peeked).is_err() {}
        assert_eq!((pipe.fill(&from, 7).ok(), pipe.held()), (Some(7), 7));
        let mut first = [0; 2];
        assert_eq!((pipe.read(&mut first).ok(), pipe.held(), &first), (Some(2), 5, b"01"));
        assert_eq!((pipe.empty(&into).ok(), pipe.held()), (Some(5), 0));
        assert_eq!((pipe.fill(&from, 7).ok(), pipe.held()), (Some(3), 3));
        assert_eq!((pipe.empty(&into).ok(), pipe.held()), (Some(3), 0));
        drop(into);
        let mut rest = String::new();
        receiver.read_to_string(&mut rest).expect("it ends");
        assert_eq!(rest, "23456789");
        drop(sender);
        while from.peek(&mut peeked).is_err() {}
        assert_eq!(pipe.fill(&from, 7).ok(), Some(0), "the end of the stream");
    }
}
