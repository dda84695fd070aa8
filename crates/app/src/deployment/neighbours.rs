//! Starts one office with the others behind their addresses: the same functions as in one process, other ports.

use super::office_file::{Engine, OfficeFile, Service};
use super::serve::{Opened, index_of};
use super::services::{FaceService, MessageService, Outside, RegisterService, missing};
use crate::adapters::{Messages, Register, SandboxFace};
use crate::failure::Failure;
use crate::offices::registry::Admitted;
use crate::offices::{Running, front, node, post, registrar, registry, tagger, uniqueness};
use crate::root::{OfficeFolder, STORES};
use crate::rows::OwnRows;
use crate::server;
use hufu_kernel::{NodeIndex, Root};
use hufu_offices::ports::{self, FaceDecision, IdentitySource, Sms};
use hufu_sandbox::adapters::{RegisterClient, SmsClient};
use hufu_web::peers::Peers;
use std::sync::Arc;

/// Where the office's rows are, by its configuration.
///
/// # Errors
/// [`Failure::Other`] for an address or a password that cannot be had.
pub fn rows(file: &OfficeFile, name: &str, folder: &OfficeFolder) -> Result<OwnRows, Failure> {
    if !STORES.contains(&name) {
        return Ok(OwnRows::None);
    }
    let table = file.store.clone().unwrap_or_default();
    match table.kind {
        Engine::Sqlite => Ok(OwnRows::File),
        Engine::Postgres => Ok(OwnRows::Server(Box::new(server::own_place(&table, name, &folder.trust_root())?))),
    }
}

/// Starts the office.
///
/// # Errors
/// [`Failure`] naming the office, or the table of its configuration that is missing.
pub async fn start(opened: &Opened, peers: &Peers) -> Result<Arc<dyn Running>, Failure> {
    let (own, around) = (&opened.premises, &opened.around);
    let asking = |error| Failure::other(error);
    match (own.office, index_of(own.office)) {
        (name, Some(index)) if name.starts_with("node") => {
            let neighbours = node::Neighbours {
                uniqueness: peers.uniqueness().map_err(asking)?,
                post: peers.post().map_err(asking)?,
                peers: node::others(index, |other| peers.node_peer(other)).map_err(asking)?,
            };
            Ok(node::start(index, own, around, neighbours).await?)
        }
        (_, Some(_)) => Ok(tagger::start(own, around)?),
        ("uniqueness", _) => Ok(uniqueness::start(own, around).await?),
        ("post", _) => Ok(post::start(own, around, messages(opened)?).await?),
        ("registry", _) => Ok(registry::start(own)?),
        ("front", _) => {
            let registry = peers.registry().map_err(asking)?;
            let source = front::Source { registry, kept: Admitted::of(own.folder().path()) };
            let node = |index| peers.subject_handles(index).map_err(asking);
            let [one, two, three] = NodeIndex::ALL;
            let neighbours = front::Neighbours { source: Some(source), nodes: [node(one)?, node(two)?, node(three)?] };
            let mtls = opened.file.mtls.as_ref().map(|mtls| mtls.url.clone());
            Ok(front::start(own, around, neighbours, front::Besides { mtls, persona_sessions: false })?)
        }
        _ => Ok(registrar::start(own, around, of_registrar(opened, peers)?).await?),
    }
}

fn of_registrar(opened: &Opened, peers: &Peers) -> Result<registrar::Neighbours, Failure> {
    let asking = |error| Failure::other(error);
    let [one, two, three] = NodeIndex::ALL;
    let tagger = |index| peers.tagger(index).map_err(asking);
    let node = |index| peers.node(index).map_err(asking);
    Ok(registrar::Neighbours {
        identity: register(opened)?,
        face: face(opened)?,
        taggers: [tagger(one)?, tagger(two)?, tagger(three)?],
        uniqueness: peers.uniqueness().map_err(asking)?,
        post: peers.post().map_err(asking)? as Arc<dyn ports::Post>,
        nodes: [node(one)?, node(two)?, node(three)?],
    })
}

/// A service that a production root must name.
fn needed(name: &str, service: Option<&Service>, what: &str) -> Result<Outside, Failure> {
    let service = service.ok_or_else(|| Failure::other(missing(name, what)))?;
    Outside::new(name, service)
}

fn register(opened: &Opened) -> Result<Arc<dyn IdentitySource>, Failure> {
    let service = opened.file.register.as_ref();
    match opened.plan.sandbox_addresses().filter(|_| service.is_none()) {
        Some(simulators) => Ok(Arc::new(Register(RegisterClient::new(&simulators).map_err(Failure::other)?))),
        None => Ok(Arc::new(RegisterService(needed("register", service, "the address of the register of documents")?))),
    }
}

fn face(opened: &Opened) -> Result<Arc<dyn FaceDecision>, Failure> {
    match (&opened.file.face, opened.plan.root) {
        (None, Root::Sandbox) => Ok(Arc::new(SandboxFace)),
        (service, _) => Ok(Arc::new(FaceService(needed("face", service.as_ref(), "the address of the face service")?))),
    }
}

fn messages(opened: &Opened) -> Result<Arc<dyn Sms>, Failure> {
    let service = opened.file.messages.as_ref();
    match opened.plan.sandbox_addresses().filter(|_| service.is_none()) {
        Some(simulators) => Ok(Arc::new(Messages(SmsClient::new(&simulators).map_err(Failure::other)?))),
        None => Ok(Arc::new(MessageService(needed("messages", service, "the address of the message provider")?))),
    }
}
