//! The kinds of record that an office keeps, by its name.

use crate::failure::Failure;
use hufu_kernel::NodeIndex;
use hufu_store::{Catalogue, TrustRoot};

/// The catalogue of the office called `name`.
///
/// # Errors
/// [`Failure::Other`] for an office that keeps no rows.
pub fn of(name: &str, trust: TrustRoot) -> Result<Catalogue, Failure> {
    let node = NodeIndex::ALL.into_iter().find(|index| name == format!("node-{index}"));
    let catalogue = match (name, node) {
        (_, Some(index)) => hufu_offices::node::schema(trust, index).catalogue(),
        ("registrar", _) => hufu_offices::registrar::schema(trust).catalogue(),
        ("uniqueness", _) => hufu_offices::uniqueness::schema(trust).catalogue(),
        ("post", _) => hufu_offices::post::schema(trust).catalogue(),
        _ => return Err(super::place::nothing(name)),
    };
    catalogue.map_err(|cause| Failure::Store { office: name.to_owned(), cause })
}
