//! The persons of a bench: rows at three nodes as enrolment leaves them, written at once. Ten thousand enrolments, each with its
//! stretched password and a dozen durable writes, would take longer than what is measured.

use crate::failure::Failure;
use crate::root::OfficeFolder;
use hufu_domain::holder::{Holder, credential_hash};
use hufu_kernel::{
    AgeBand, EnrolmentId, Epoch, Handle, KeyStore, Locator, NodeIndex, Octets, Refusal, Rng, Subset, Timestamp, framed,
    offices, random,
};
use hufu_offices::node::{self, Commitments, Private, Row};
use hufu_pairwise::{Intl, commitment, epoch_message, oprf_commitment, password_sub_key, sub_key};
use hufu_store::{Batch, Expect, IdempotencyKey, Store};
use hufu_wire::api::enrolment::{Flags, PasswordRecord};
use hufu_wire::api::holder::Device;
use hufu_wire::jose::{Alg, SoftKey};
use hufu_wire::network_number::NetworkNumber;
use hufu_wire::webauthn::SoftDevice;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Writers at once: a durable write is shared by those who wait for it together.
const WRITERS: usize = 128;

/// One node's keys and store.
struct Office {
    keys: Arc<dyn KeyStore>,
    store: Store<offices::Node>,
}

/// Everything a person's rows are made of.
struct Settled {
    root_u: [u8; 32],
    number: NetworkNumber,
    enrolment_id: EnrolmentId,
    holder: Holder,
    commitments: Commitments,
    loc_u: Locator,
    contact: Locator,
}

/// Settles `count` adults at all three nodes; their devices.
///
/// # Errors
/// [`Failure`] of a key or a store.
pub async fn settle(
    nodes: [OfficeFolder; 3],
    count: usize,
    now: Timestamp,
    rng: &Arc<dyn Rng>,
) -> Result<Vec<SoftDevice>, Failure> {
    let open = |index: NodeIndex| {
        let folder = &nodes[index.slot()];
        let store = folder.store(&node::schema(folder.trust_root(), index))?;
        Ok::<_, Failure>(Arc::new(Office { keys: folder.keys(rng)?, store }))
    };
    let [one, two, three] = NodeIndex::ALL;
    let nodes = [open(one)?, open(two)?, open(three)?];
    let mut devices = Vec::with_capacity(count);
    let mut writing = JoinSet::new();
    for done in 0..count {
        let device = SoftDevice::generate(rng.as_ref()).map_err(Failure::other)?;
        let settled = Arc::new(settled(&nodes, &device, now, rng.as_ref())?);
        devices.push(device);
        for node in &nodes {
            let (node, settled, rng) = (Arc::clone(node), Arc::clone(&settled), Arc::clone(rng));
            writing.spawn(async move { write(&node, &settled, now, rng.as_ref()).await });
        }
        while writing.len() > WRITERS {
            written(&mut writing).await?;
        }
        if (done + 1) % 2000 == 0 {
            eprintln!("  {} persons", done + 1);
        }
    }
    while !writing.is_empty() {
        written(&mut writing).await?;
    }
    Ok(devices)
}

async fn written(writing: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    writing.join_next().await.map_or(Ok(()), |ended| ended.map_err(Failure::other)?)
}

fn settled(nodes: &[Arc<Office>; 3], device: &SoftDevice, now: Timestamp, rng: &dyn Rng) -> Result<Settled, Failure> {
    let enrolment_id = EnrolmentId::random(rng);
    let epoch = Epoch::random(rng);
    let root_u = random(rng);
    let credential = credential_hash(device.credential_id());
    let holder_key = SoftKey::generate(Alg::ES256, rng).map_err(Failure::other)?;
    let registered = Device {
        credential,
        key: device.key(),
        holder_key: holder_key.public().key.as_p256().map_or_else(Default::default, |point| point.as_slice().into()),
        since: now.minute(),
        not_before: None,
    };
    let flags = Flags { real: true, unique: true, alive: true, band: AgeBand::Adult, band_until: None };
    let mut holder = Holder::pending(enrolment_id, now, flags, epoch, registered);
    // Nobody types this password: bench sign-ins are of strength `certificate`.
    let password = PasswordRecord { public: Octets(random(rng)), salt: Octets(random(rng)), params_id: 1 };
    holder.set_first_password(password).map_err(refused)?;
    Ok(Settled {
        root_u,
        number: NetworkNumber::random(rng),
        enrolment_id,
        holder: holder.activate(enrolment_id).map_err(refused)?,
        commitments: commitments(nodes, &root_u, &epoch)?,
        loc_u: Locator::random(rng),
        contact: Locator::random(rng),
    })
}

/// C_A of all three A (flows 1), each by a holder of A.
fn commitments(nodes: &[Arc<Office>; 3], root_u: &[u8; 32], epoch: &Epoch) -> Result<Commitments, Failure> {
    let mut all = Commitments::default();
    for subset in Subset::ALL {
        let keys = &nodes[subset.holders().0.slot()].keys;
        let prf = |key: &str, message: &[u8]| {
            keys.hmac(&format!("{key}-{}", subset.name()), message).map(|octets| octets.0).map_err(Failure::other)
        };
        let pseudonym = sub_key::<Intl>(&prf("k", root_u)?, None).map_err(Failure::other)?;
        let of_epoch = sub_key::<Intl>(&prf("k", &epoch_message(root_u, epoch.as_slice()))?, None);
        let password = oprf_commitment(&password_sub_key(&prf("kp", root_u)?)).map_err(Failure::other)?;
        all.pseudonym[subset.slot()] = Some(commitment::<Intl>(&pseudonym));
        all.epoch[subset.slot()] = Some(commitment::<Intl>(&of_epoch.map_err(Failure::other)?));
        all.password[subset.slot()] = Some(password);
    }
    Ok(all)
}

async fn write(node: &Office, settled: &Settled, now: Timestamp, rng: &dyn Rng) -> Result<(), Failure> {
    let handle = Handle::random(rng);
    let private = Private {
        root_u: Octets(settled.root_u),
        loc_u: settled.loc_u,
        contact: settled.contact,
        vault: None,
        face: None,
        number: settled.number.clone(),
        offsets: Vec::new(),
        epoch_offsets: Vec::new(),
    };
    let plain = serde_json::to_vec(&private).map_err(Failure::other)?;
    let index = |kind: &str, value: &[u8]| node.keys.hmac("index", &framed(&[kind.as_bytes(), value]));
    let row = Row {
        handle,
        enrolment: index("enrolment", settled.enrolment_id.as_slice()).map_err(Failure::other)?,
        holder: settled.holder.clone(),
        private: node.keys.seal("rows", handle.as_slice(), &plain).map_err(Failure::other)?,
        generation: 0,
        commitments: settled.commitments.clone(),
        root_index: index("root", &settled.root_u).map_err(Failure::other)?,
        number_index: index("number", settled.number.as_str().as_bytes()).map_err(Failure::other)?,
        copies: Vec::new(),
        failures: 0,
        paused_until: None,
        // The node names it at its start.
        peers: Vec::new(),
        vote: None,
    };
    let mut batch = Batch::new();
    batch.put(&row, Expect::Absent);
    node.store.commit(batch, IdempotencyKey::random(rng, now)).await.map_err(Failure::other)?;
    Ok(())
}

fn refused(refusal: Refusal) -> Failure {
    Failure::other(refusal.text().developer)
}
