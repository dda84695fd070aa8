//! Clients of the simulators, as a provider's own SDK would be: the offices' ports are implemented over them where offices are
//! wired together, since nothing here may know an office.

use crate::http::Addresses;
use crate::phone_simulator::SendRequest;
use crate::register::{MatchAnswer, MatchRequest};
use reqwest::StatusCode;
use std::time::Duration;

/// A register or provider that takes longer is down for us.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a simulator's client has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nothing came back in time, or not what was agreed. Quotes nothing of the request.
    #[error("no usable answer in time: {0}")]
    Down(String),
    /// The provider does not carry messages to this number.
    #[error("the provider refuses this number")]
    Number,
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Self {
        // The address goes, the cause stays.
        Self::Down(error.without_url().to_string())
    }
}

fn client(addresses: &Addresses) -> Result<reqwest::Client, Unanswered> {
    addresses.client().map_err(Unanswered::Down)
}

/// The civil register's client.
#[derive(Clone, Debug)]
pub struct RegisterClient {
    client: reqwest::Client,
    url: String,
}

impl RegisterClient {
    /// A client of the sandbox's register.
    ///
    /// # Errors
    /// [`Unanswered::Down`] if no client can be made.
    pub fn new(addresses: &Addresses) -> Result<Self, Unanswered> {
        Ok(Self { client: client(addresses)?, url: format!("{}/match", addresses.register) })
    }

    /// Asks the register.
    ///
    /// # Errors
    /// [`Unanswered::Down`].
    pub async fn ask(&self, question: &MatchRequest) -> Result<MatchAnswer, Unanswered> {
        let answer = self.client.post(&self.url).timeout(PATIENCE).json(question).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }
}

/// The message provider's client.
#[derive(Clone, Debug)]
pub struct SmsClient {
    client: reqwest::Client,
    url: String,
}

impl SmsClient {
    /// A client of the sandbox's provider.
    ///
    /// # Errors
    /// [`Unanswered::Down`] if no client can be made.
    pub fn new(addresses: &Addresses) -> Result<Self, Unanswered> {
        Ok(Self { client: client(addresses)?, url: format!("{}/messages", addresses.phone) })
    }

    /// Hands over a message.
    ///
    /// # Errors
    /// [`Unanswered::Number`] for a number outside the sandbox's range, [`Unanswered::Down`].
    pub async fn send(&self, message: &SendRequest) -> Result<(), Unanswered> {
        let answer = self.client.post(&self.url).timeout(PATIENCE).json(message).send().await?;
        if answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
            return Err(Unanswered::Number);
        }
        answer.error_for_status()?;
        Ok(())
    }
}
