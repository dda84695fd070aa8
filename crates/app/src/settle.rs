//! The end of waiting where nodes come from backups and cannot settle by comparing: two operators order whose rows count
//! (docs/decisions/0018).

use crate::ceremony::office::AtOffice;
use crate::ceremony::order;
use crate::deployment::neighbours;
use crate::failure::Failure;
use crate::root::OfficeFolder;
use hufu_kernel::NodeIndex;
use hufu_offices::node::{self, Settling, settle_by_order};
use hufu_wire::api::order::Kind;
use hufu_wire::api::trust::node_name;
use std::path::Path;

/// What was done at a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// The node whose rows count.
    pub whose: String,
    /// What this one does.
    pub settling: Settling,
}

/// Tells a node that waits whose rows count.
///
/// # Errors
/// [`Failure`] for an order that is not followed, a node that is running, and one that waits for nothing.
pub async fn run(config: &Path, order: &Path) -> Result<Settled, Failure> {
    let office = AtOffice::open(config)?;
    let index = |name: &str| NodeIndex::ALL.into_iter().find(|index| node_name(*index) == name);
    let own = index(office.name).ok_or_else(|| Failure::other(format!("{} is no node", office.name)))?;
    let signed = order::followed(&office, order, Kind::Settle)?;
    let whose = signed.order.subject.unwrap_or_default();
    let counts = index(&whose).ok_or_else(|| Failure::other(format!("{whose} is no node")))?;
    if office.is_served() {
        return Err(Failure::other(format!("{} is running: stop it first", office.name)));
    }
    let folder = OfficeFolder::new(office.file.data(), office.name, office.plan.root, office.plan.root_id);
    let rows = neighbours::rows(&office.file, office.name, &folder)?;
    let store = rows.open(&folder, &node::schema(folder.trust_root(), own)).await?;
    let settling = settle_by_order(&store, own, counts, office.clock.now(), office.rng.as_ref()).await;
    let settling = settling.map_err(|cause| Failure::Store { office: office.name.to_owned(), cause })?;
    if settling == Settling::NotMarked {
        let told = format!("{} waits for nothing: its rows have been compared. Nothing was changed", office.name);
        return Err(Failure::other(told));
    }
    Ok(Settled { whose, settling })
}
