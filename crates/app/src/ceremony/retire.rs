//! The end of a rotation: old K_A, and what led from them to the new ones, are destroyed at a node (docs/decisions/0017).

use super::office::AtOffice;
use super::{order, take_part};
use crate::failure::Failure;
use hufu_kernel::NodeIndex;
use hufu_offices::key_names;
use hufu_wire::api::order::Kind;
use hufu_wire::api::peer::AskMoved;
use hufu_wire::api::trust::node_name;
use std::path::Path;

/// Destroys a node's keys of before the newest generation, once all three nodes say that they need them no more. Returns their names.
///
/// # Errors
/// [`Failure`] for an order that is not followed, a node that cannot be asked, and one that still has rows to move.
pub async fn run(config: &Path, order: &Path) -> Result<Vec<String>, Failure> {
    let office = AtOffice::open(config)?;
    let own = NodeIndex::ALL.into_iter().find(|index| node_name(*index) == office.name);
    let own = own.ok_or_else(|| Failure::other(format!("{} has no K_A: nodes alone retire keys", office.name)))?;
    order::followed(&office, order, Kind::Retire)?;
    let names = office.keys.names().map_err(Failure::other)?;
    let newest = key_names::generations(own, names.iter().map(String::as_str)).last().copied().unwrap_or_default();
    let old: Vec<String> = names.into_iter().filter(|name| is_old(name, newest)).collect();
    if old.is_empty() {
        return Err(Failure::other("there is nothing to retire: this node has keys of one generation"));
    }
    let peers = take_part::met(&office, &office.roster()?)?;
    for index in NodeIndex::ALL {
        let node = node_name(index);
        let asked = peers.node_peer(index).map_err(Failure::other)?.moved(own, &AskMoved { generation: newest }).await;
        let moved = asked.map_err(|refusal| Failure::other(format!("{node} cannot be asked: {}", refusal.code())))?;
        if !moved.is_over(newest) {
            let told = match moved.behind {
                Some(rows) if rows > 0 => format!("{rows} rows are still to be moved"),
                _ => "it has not looked at all of its rows yet, or goes by other keys".to_owned(),
            };
            return Err(Failure::other(format!("{node} still needs the old keys: {told}. Nothing was destroyed")));
        }
    }
    for name in &old {
        office.keys.destroy(name).map_err(Failure::other)?;
    }
    Ok(old)
}

/// K_A of an older generation, and every Z. From when a generation counts (`since.N`) stays: it tells what cannot be computed any more.
fn is_old(name: &str, newest: u32) -> bool {
    let (kind, generation) = match name.split_once('.') {
        Some((kind, number)) => (kind, number.parse().ok()),
        None => (name, Some(0)),
    };
    generation.is_some_and(|generation| match kind {
        "z" => generation <= newest,
        kind => kind.starts_with("k-") && generation < newest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_destroyed_is_older_than_the_newest_keys_and_what_led_to_them() {
        let names = [
            "k-12", "k-13", "k-12.1", "k-12.2", "kp-12", "peer-12", "z.1", "z.2", "z.3", "since.1", "since.2", "es256",
        ];
        let old = |newest| names.into_iter().filter(|name| is_old(name, newest)).collect::<Vec<_>>();
        assert_eq!(old(2), ["k-12", "k-13", "k-12.1", "z.1", "z.2"]);
        assert_eq!(old(1), ["k-12", "k-13", "z.1"]);
        assert!(old(0).is_empty());
    }
}
