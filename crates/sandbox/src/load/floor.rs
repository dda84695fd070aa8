//! The floors' lanes: as many requests of the same size to a server that does the cryptography and nothing else.

use super::connection::{Connection, JSON, Message};
use super::{Failure, Lane};

/// One request to the floor: its path, and how many bytes go with it, as many as with ours.
pub type Step = (&'static str, usize);

/// The steps of row 1.
pub const BARE: &[Step] = &[("/par", 1500), ("/authorize", 0), ("/tx", 0), ("/complete", 1150), ("/token", 2900)];

/// The steps of row 2; each of the two rounds goes to two nodes.
pub const WHOLE: &[Step] = &[
    ("/par", 1500),
    ("/authorize", 0),
    ("/tx", 0),
    ("/begin", 3400),
    ("/begin", 3400),
    ("/finish", 700),
    ("/finish", 700),
    ("/complete", 1150),
    ("/token", 2900),
];

/// The step of the token endpoint alone.
pub const TOKEN: &[Step] = &[("/token", 2900)];

/// A floor.
pub struct FloorLane {
    /// Where it answers.
    pub origin: String,
    /// Its requests.
    pub steps: &'static [Step],
}

impl Lane for FloorLane {
    type Ready = ();
    type Lines = Connection;

    async fn ready(&self, _: usize) -> Result<(), Failure> {
        Ok(())
    }

    async fn lines(&self) -> Result<Connection, Failure> {
        Connection::open(&self.origin).await
    }

    async fn sign_in(&self, line: &mut Connection, (): (), _: bool) -> Result<(), Failure> {
        for (path, size) in self.steps {
            let message = Message { path, content_type: JSON, ..Message::default() };
            line.post(message, vec![b'x'; *size]).await?.expect(path, 200)?;
        }
        Ok(())
    }
}
