//! A known person's new device (flows 5), the old device's objection, and what a device learns anew from two nodes.

use crate::call::{Address, call};
use crate::device::Device;
use crate::enrol::{Enrolling, plain_challenge};
use crate::state::Commitments;
use crate::statements::two_of;
use crate::{Transport, Wallet, WalletError};
use hufu_kernel::{Label, NodeIndex, Octets, Refusal, framed};
use hufu_wire::api::enrolment::EnrolmentView;
use hufu_wire::api::holder::{Change, Done, RowView, SubmitReports};
use hufu_wire::api::recovery::{RecoverStep, RecoveringDevice};
use hufu_wire::webauthn::credential_hash;

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
        self.read_anew().await
    }

    /// [`Wallet::refresh`] while the holder key's quarter of an hour is open at two nodes.
    pub(crate) async fn read_anew(&mut self) -> Result<(), WalletError> {
        let mut rows = self.agreeing_rows().await?;
        if rows.iter().any(|row| row.commitments.len() < 3) {
            self.bring_reports(&rows).await?;
            rows = self.agreeing_rows().await?;
        }
        let [one, other] = alike(&rows)?;
        let told = Commitments::from_rows(one, other)?;
        self.state.commitments.same_person(&told)?;
        self.state.commitments = told;
        self.state.number = Some(one.number.clone());
        Ok(())
    }

    /// The rows of the nodes that agree, two at least.
    async fn agreeing_rows(&self) -> Result<Vec<RowView>, WalletError> {
        let mut rows: Vec<RowView> = Vec::new();
        let mut last = WalletError::Refused(Refusal::NodesUnavailable);
        for node in NodeIndex::ALL {
            match self.row(node).await {
                Ok(row) => rows.push(row),
                Err(error) => last = error,
            }
        }
        if rows.is_empty() {
            return Err(last);
        }
        let shared = |row: &&RowView| rows.iter().filter(|other| same(row, other)).count() >= 2;
        let newest = rows.iter().filter(shared).max_by_key(|row| row.version).ok_or(Refusal::NodesDisagree)?;
        Ok(rows.iter().filter(|row| same(row, newest)).cloned().collect())
    }

    /// Brings every node the others' commitments: the reports of a change of epoch were lost on the way. Not the odd one's that missed a
    /// rotation, which the others would refuse.
    async fn bring_reports(&self, rows: &[RowView]) -> Result<(), WalletError> {
        let shared = |row: &&RowView| rows.iter().filter(|other| other.generation == row.generation).count() >= 2;
        let reports = rows.iter().filter(shared).map(|row| row.report.clone()).collect();
        let request = SubmitReports { credential: credential_hash(&self.device.credential_id().0), reports };
        let mut answers = Vec::new();
        for node in NodeIndex::ALL {
            answers.push(call::<_, Done>(&self.transport, Address::Node(node), "/v1/reports", &request).await);
        }
        two_of(answers).map(|_| ())
    }
}

/// Two that say the same of the keys; else the first two, which do not.
fn alike(rows: &[RowView]) -> Result<[&RowView; 2], WalletError> {
    let pairs = || rows.iter().enumerate().flat_map(|(at, one)| rows[at + 1..].iter().map(move |other| [one, other]));
    let keys = |row: &&RowView| (row.generation, row.commitments.clone());
    let two = pairs().find(|[one, other]| keys(one) == keys(other)).or_else(|| pairs().next());
    two.ok_or(WalletError::Refused(Refusal::NodesDisagree))
}

fn same(one: &RowView, other: &RowView) -> bool {
    (one.version, one.head, &one.number) == (other.version, other.head, &other.number)
}
