//! The services of the world outside that a real registrar and a real post ask: register of documents, face decision, messages.
//! Each is HTTPS with a small JSON contract (docs/operate/services.md); the sandbox's simulators speak the same ones.

use super::office_file::{OfficeFile, Service, WALLET};
use crate::adapters::{entry, message};
use crate::failure::Failure;
use async_trait::async_trait;
use hufu_domain::eligibility::RegisterEntry;
use hufu_kernel::{Bytes, Lang, Refusal, Root};
use hufu_offices::ports::{FaceDecision, IdentitySource, Sms};
use hufu_sandbox::register::{MatchAnswer, MatchRequest};
use hufu_wire::documents::{DocumentNumber, DocumentType};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A service that takes longer is down for us.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looking at a face takes longer.
const FACE_PATIENCE: Duration = Duration::from_secs(15);

/// Something that an office's configuration does not say, or says wrongly, about the world outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The table of `office.toml`.
    pub table: &'static str,
    /// A sentence.
    pub told: String,
}

/// What keeps `file`'s office from starting, as far as services outside go. No file is read for it.
#[must_use]
pub fn faults(file: &OfficeFile, root: Root) -> Vec<Fault> {
    let tables = [
        ("registrar", "register", &file.register, "the address of the register of documents"),
        ("registrar", "face", &file.face, "the address of the face service"),
        ("post", "messages", &file.messages, "the address of the message provider"),
    ];
    let of_office = tables.into_iter().filter(|(office, ..)| *office == file.office);
    let mut found: Vec<Fault> = of_office
        .filter_map(|(_, table, service, what)| {
            let told = match service {
                Some(service) => address(table, service).err()?,
                None if root == Root::Sandbox => return None,
                None => missing(table, what),
            };
            Some(Fault { table, told })
        })
        .collect();
    if file.office == WALLET && root == Root::Production && file.help.is_none() {
        let told = "[help] is missing in office.toml: where people get help by telephone".to_owned();
        found.push(Fault { table: "help", told });
    }
    found
}

/// How it is told that a service is not named.
#[must_use]
pub fn missing(table: &str, what: &str) -> String {
    format!("[{table}] url is missing in office.toml: {what} (docs/operate/services.md)")
}

/// The address of a service, if documents and phones may go there.
fn address(name: &str, service: &Service) -> Result<String, String> {
    let url = service.url.trim_end_matches('/').to_owned();
    let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
    let local =
        local.iter().any(|start| url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')));
    if url.starts_with("https://") || local {
        return Ok(url);
    }
    Err(format!(
        "[{name}] url = {url:?}: people's documents and phones go there: https://host, or http on this machine"
    ))
}

/// One service outside, reached over HTTPS.
#[derive(Clone, Debug)]
pub struct Outside {
    client: reqwest::Client,
    url: String,
}

impl Outside {
    /// The service of a table of `office.toml`.
    ///
    /// # Errors
    /// [`Failure::Other`] for an address that is neither https nor on this machine; [`Failure::Unreadable`] for its authority.
    pub fn new(name: &str, service: &Service) -> Result<Self, Failure> {
        let url = address(name, service).map_err(Failure::other)?;
        let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &service.ca {
            let pem = crate::files::read(path)?.ok_or_else(|| Failure::unreadable(path, "missing"))?;
            let trusted = reqwest::Certificate::from_pem_bundle(&pem);
            builder = builder.tls_certs_only(trusted.map_err(|error| Failure::unreadable(path, error))?);
        }
        Ok(Self { client: builder.build().map_err(Failure::other)?, url })
    }

    async fn post(&self, path: &str, body: &impl Serialize, patience: Duration) -> Result<reqwest::Response, String> {
        let request = self.client.post(format!("{}{path}", self.url)).timeout(patience).json(body);
        request.send().await.map_err(quiet)
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, String> {
        let answer = self.post(path, body, patience).await?.error_for_status().map_err(quiet)?;
        answer.json().await.map_err(quiet)
    }
}

/// The address goes from an error, the cause stays; a body is never quoted.
fn quiet(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

/// The register of documents.
#[derive(Clone, Debug)]
pub struct RegisterService(pub Outside);

#[async_trait]
impl IdentitySource for RegisterService {
    async fn look_up(&self, number: &DocumentNumber, name: &str) -> Result<Option<RegisterEntry>, Refusal> {
        let question = MatchRequest {
            document_type: number.kind(),
            number: number.expose().to_owned(),
            name: name.to_owned(),
            birth: None,
        };
        match self.0.ask::<MatchAnswer>("/match", &question, PATIENCE).await {
            Ok(answer) => entry(&answer),
            Err(error) => down("the register", &error, Refusal::RegisterDown),
        }
    }
}

fn down<T>(what: &str, cause: &dyn std::fmt::Display, refusal: Refusal) -> Result<T, Refusal> {
    tracing::warn!(%cause, "{what} gave no usable answer");
    Err(refusal)
}

/// What the face service is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceQuestion {
    /// One of the seven types.
    pub document_type: DocumentType,
    /// The document's number: the service knows its portrait.
    pub number: String,
    /// The wallet's evidence, as the service's own software made it.
    pub evidence: Bytes,
}

/// What it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceAnswer {
    /// The face before the camera is alive and the document's.
    pub passes: bool,
}

/// The face service.
#[derive(Clone, Debug)]
pub struct FaceService(pub Outside);

#[async_trait]
impl FaceDecision for FaceService {
    async fn decide(&self, number: &DocumentNumber, evidence: &[u8]) -> Result<bool, Refusal> {
        let question = FaceQuestion {
            document_type: number.kind(),
            number: number.expose().to_owned(),
            evidence: evidence.into(),
        };
        match self.0.ask::<FaceAnswer>("/decide", &question, FACE_PATIENCE).await {
            Ok(answer) => Ok(answer.passes),
            // The draft is kept by the wallet: the step can be taken again.
            Err(error) => down("the face service", &error, Refusal::Busy),
        }
    }
}

/// The message provider.
#[derive(Clone, Debug)]
pub struct MessageService(pub Outside);

#[async_trait]
impl Sms for MessageService {
    async fn send(&self, to: &str, template: &str, params: &[(&str, &str)], lang: Lang) -> Result<(), Refusal> {
        let message = message(to, template, params, lang)?;
        match self.0.post("/messages", &message, PATIENCE).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) if answer.status() == StatusCode::UNPROCESSABLE_ENTITY => Err(Refusal::PhoneNumber),
            Ok(answer) => down("the message provider", &answer.status(), Refusal::MessageDown),
            Err(error) => down("the message provider", &error, Refusal::MessageDown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_phones_leave_this_machine_over_https_alone() {
        let to = |url: &str| Outside::new("register", &Service { url: url.to_owned(), ca: None });
        for url in ["https://register.internal", "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9/"] {
            assert!(to(url).is_ok(), "{url}");
        }
        for url in ["http://register.internal", "http://127.0.0.1.example", "http://localhost.example", "ftp://x", ""] {
            assert!(to(url).is_err(), "{url}");
        }
    }
}
