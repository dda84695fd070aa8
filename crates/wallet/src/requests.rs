//! Being asked without a browser at the platform (decision 0029): the wallet waits by a code that its person tells, or reads from two nodes
//! that a platform which knows the person has asked.

use crate::call::{Address, call};
use crate::device::Device;
use crate::{Asked, SignedIn, Transport, Wallet, WalletError};
use hufu_kernel::{NodeIndex, Octets};
use hufu_wire::api::requests::{
    CompleteWaiting, Found, LookWaiting, PersonRequest, PersonRequests, ReadRequests, RefuseWaiting, Wait, Waiting,
};
use hufu_wire::api::sign_in::{CompleteSignIn, Continue};

/// The requests that two nodes say alike, each once. When one ends each says by its own clock; the earliest counts.
fn alike(told: &[PersonRequests]) -> Vec<PersonRequest> {
    let mut known: Vec<PersonRequest> = Vec::new();
    for one in told.iter().flat_map(|said| &said.requests) {
        let is_same = |other: &&PersonRequest| (other.tx, other.secret) == (one.tx, one.secret);
        let ends = told.iter().filter_map(|said| said.requests.iter().filter(is_same).map(|same| same.exp).min());
        let ends: Vec<_> = ends.collect();
        if let Some(exp) = ends.iter().min().filter(|_| ends.len() >= 2)
            && !known.iter().any(|other| is_same(&other))
        {
            known.push(PersonRequest { exp: *exp, ..one.clone() });
        }
    }
    known
}

impl<T: Transport, D: Device> Wallet<T, D> {
    /// Waits: the code is for the person to tell the platform, the secret is this wallet's.
    ///
    /// # Errors
    /// The front's refusals.
    pub async fn wait(&self) -> Result<Waiting, WalletError> {
        call(&self.transport, Address::Front, "/requests/wait", &Wait {}).await
    }

    /// The transaction that a platform has begun with the code, if one has.
    ///
    /// # Errors
    /// The front's refusals: nobody waits with this secret any more.
    pub async fn look(&self, secret: &Octets<32>) -> Result<Option<Octets<32>>, WalletError> {
        let found: Found =
            call(&self.transport, Address::Front, "/requests/look", &LookWaiting { secret: *secret }).await?;
        Ok(found.tx)
    }

    /// What platforms that know the person ask just now, as two nodes say it: one node alone asks nobody anything. The holder key's
    /// quarter of an hour must be open.
    ///
    /// # Errors
    /// The refusal of a node, if fewer than two answer.
    pub async fn requests(&self) -> Result<Vec<PersonRequest>, WalletError> {
        let request = ReadRequests { proof: self.holder_proof(b"requests").await? };
        let (mut told, mut last): (Vec<PersonRequests>, _) = (Vec::new(), WalletError::State("no node"));
        for node in NodeIndex::ALL {
            match call(&self.transport, Address::Node(node), "/v1/requests", &request).await {
                Ok(said) => told.push(said),
                Err(error) => last = error,
            }
        }
        if told.len() < 2 {
            return Err(last);
        }
        Ok(alike(&told))
    }

    /// Hands the result to the front for the platform to fetch.
    ///
    /// # Errors
    /// The front's refusals.
    pub async fn complete_waiting(
        &self,
        asked: &Asked,
        signed_in: &SignedIn,
        secret: &Octets<32>,
    ) -> Result<Continue, WalletError> {
        let (id_token, handle) = (signed_in.id_token.clone(), signed_in.handle.clone());
        let answer = CompleteSignIn { tx: asked.transaction.tx, id_token, s: signed_in.s, handle };
        let request = CompleteWaiting { answer, secret: *secret };
        call(&self.transport, Address::Front, "/requests/complete", &request).await
    }

    /// Refuses; the platform learns that access was denied and nothing else.
    ///
    /// # Errors
    /// The front's refusals.
    pub async fn refuse_waiting(&self, tx: &Octets<32>, secret: &Octets<32>) -> Result<Continue, WalletError> {
        let request = RefuseWaiting { tx: *tx, secret: *secret };
        call(&self.transport, Address::Front, "/requests/refuse", &request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::Timestamp;

    fn one(tx: u8, secret: u8, exp: i64) -> PersonRequest {
        PersonRequest { tx: Octets([tx; 32]), secret: Octets([secret; 32]), exp: Timestamp(exp) }
    }

    fn told(nodes: &[&[PersonRequest]]) -> Vec<PersonRequest> {
        alike(&nodes.iter().map(|said| PersonRequests { requests: said.to_vec() }).collect::<Vec<_>>())
    }

    #[test]
    fn a_request_is_known_though_the_clocks_of_its_nodes_differ_and_ends_at_the_earlier() {
        assert_eq!(told(&[&[one(1, 1, 300)], &[], &[one(1, 1, 271)]]), [one(1, 1, 271)]);
        assert_eq!(told(&[&[one(1, 1, 300)], &[one(1, 1, 302)], &[one(1, 1, 301)]]), [one(1, 1, 300)]);
    }

    #[test]
    fn what_one_node_alone_says_is_not_known_however_often_it_says_it() {
        assert_eq!(told(&[&[one(1, 1, 300), one(1, 1, 301)], &[], &[]]), []);
        assert_eq!(told(&[&[one(1, 1, 300)], &[one(1, 2, 300)], &[one(2, 1, 300)]]), []);
    }
}
