//! A known person's new device (flows 5), the old device's objection, and what a device learns anew from two nodes.

use crate::call::{Address, call};
use crate::device::Device;
use crate::enrol::{Enrolling, plain_challenge};
use crate::state::Commitments;
use crate::{Transport, Wallet, WalletError};
use hufu_kernel::{Label, NodeIndex, Octets, Refusal, framed};
use hufu_wire::api::enrolment::EnrolmentView;
use hufu_wire::api::holder::{Change, RowView};
use hufu_wire::api::recovery::{RecoverStep, RecoveringDevice};

impl<T: Transport, D: Device> Wallet<T, D> {
    /// In place of step 5, for a person who has a number: this device is registered and waits until `view.until`.
    ///
    /// # Errors
    /// The registrar's refusals: [`Refusal::NotEnrolled`] for a person who has no number.
    pub async fn recover(&mut self) -> Result<Enrolling, WalletError> {
        let ticket = self.ticket()?;
        let t = self.clock.now();
        let holder_key = self.device.holder_key();
        let bytes = framed(&[ticket.id.as_slice(), &holder_key.0]);
        let assertion = self.device.assert(&plain_challenge(Label::Recover, &bytes, t)).await?;
        let device = RecoveringDevice { key: self.device.key(), holder_key, assertion, t };
        let request = RecoverStep { ticket, device };
        let view: EnrolmentView = call(&self.transport, Address::Registrar, "/v1/enrol/recover", &request).await?;
        self.state.ticket = None;
        Ok(Enrolling { view })
    }

    /// Objects to a recovered device that waits.
    ///
    /// # Errors
    /// As [`Wallet::lock`]; [`Refusal::UnknownDevice`] if it does not wait.
    pub async fn veto(&self, credential: Octets<32>) -> Result<(), WalletError> {
        self.change(Label::Veto, Change::Veto { credential }).await.map(|_| ())
    }

    /// Takes number and commitments from two nodes that say the same: what a recovered device begins with, and what any device needs
    /// after another one has ended all sessions.
    ///
    /// # Errors
    /// [`Refusal::VetoPeriod`] while this device waits; [`Refusal::NodesDisagree`]; [`WalletError::Untrusted`].
    pub async fn refresh(&mut self) -> Result<(), WalletError> {
        self.open_holder().await?;
        let mut rows: Vec<RowView> = Vec::new();
        let mut last = WalletError::Refused(Refusal::NodesUnavailable);
        for node in NodeIndex::ALL {
            match self.row(node).await {
                Ok(row) => rows.push(row),
                Err(error) => last = error,
            }
        }
        let newest = rows.iter().map(|row| row.version).max().ok_or(last)?;
        let mut agreeing = rows.iter().filter(|row| row.version == newest);
        let (Some(one), Some(other)) = (agreeing.next(), agreeing.next()) else {
            return Err(Refusal::NodesDisagree.into());
        };
        if one.head != other.head || one.number != other.number {
            return Err(Refusal::NodesDisagree.into());
        }
        self.state.commitments = Commitments::from_rows(one, other)?;
        self.state.number = Some(one.number.clone());
        Ok(())
    }
}
