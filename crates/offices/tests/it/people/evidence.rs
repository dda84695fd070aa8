//! What says who people are, in the test world.

use async_trait::async_trait;
use hufu_domain::eligibility::RegisterEntry;
use hufu_kernel::Refusal;
use hufu_offices::ports;
use hufu_wire::documents::DocumentNumber;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the register of the test world says: number to name, birth, standing.
#[derive(Default)]
pub struct Register(pub Mutex<BTreeMap<String, (String, RegisterEntry)>>);

#[async_trait]
impl ports::IdentitySource for Register {
    async fn look_up(&self, number: &DocumentNumber, name: &str) -> Result<Option<RegisterEntry>, Refusal> {
        let known = self.0.lock().unwrap();
        Ok(known.get(number.expose()).filter(|(known, _)| known == name).map(|(_, entry)| entry.clone()))
    }
}

/// `pass` passes.
pub struct Face;

#[async_trait]
impl ports::FaceDecision for Face {
    async fn decide(&self, _: &DocumentNumber, evidence: &[u8]) -> Result<bool, Refusal> {
        Ok(evidence == b"pass")
    }
}
