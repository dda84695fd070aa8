//! Two nodes sign what a wallet asks for: round 2 and the sum.

use crate::call::{Address, call};
use crate::device::Device;
use crate::{Transport, Wallet, WalletError};
use hufu_kernel::{Bytes, Octets, Pair};
use hufu_wire::api::holder::{FinishSigning, SigningOffer, SigningShares};

/// Messages with their group signatures.
pub(crate) struct SignedMessages {
    pub inputs: Vec<String>,
    pub signatures: Vec<Octets<64>>,
    pub disclosures: Vec<Vec<String>>,
}

impl<T: Transport, D: Device> Wallet<T, D> {
    /// Round 2 at both nodes of `pair`, then one Ed25519 signature a message.
    pub(crate) async fn finish_signing(
        &self,
        pair: Pair,
        offers: &[SigningOffer; 2],
    ) -> Result<SignedMessages, WalletError> {
        let members = pair.members();
        let mut answers: Vec<SigningShares> = Vec::with_capacity(2);
        for (position, node) in members.into_iter().enumerate() {
            let request = FinishSigning { session: offers[position].session, peer: offers[1 - position].clone() };
            answers.push(call(&self.transport, Address::Node(node), "/v1/signing/finish", &request).await?);
        }
        let [first, second] = [&answers[0], &answers[1]];
        if first.signing_inputs != second.signing_inputs || first.disclosures != second.disclosures {
            return Err(WalletError::Untrusted("two nodes would sign different messages"));
        }
        let mut signatures = Vec::with_capacity(first.signing_inputs.len());
        for (position, input) in first.signing_inputs.iter().enumerate() {
            let part = |list: &[Bytes]| {
                list.get(position).cloned().ok_or(WalletError::Untrusted("a signature share is missing"))
            };
            let commitments =
                [(members[0], part(&offers[0].commitments)?), (members[1], part(&offers[1].commitments)?)];
            let shares = [(members[0], part(&first.shares)?), (members[1], part(&second.shares)?)];
            let signature = self
                .group
                .0
                .aggregate(input.as_bytes(), &commitments, &shares)
                .map_err(|_| WalletError::Untrusted("a signature share"))?;
            signatures.push(signature);
        }
        Ok(SignedMessages { inputs: first.signing_inputs.clone(), signatures, disclosures: first.disclosures.clone() })
    }
}
