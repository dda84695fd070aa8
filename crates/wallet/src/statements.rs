//! The person changes their own row (flows 6).

use crate::call::{Address, call};
use crate::device::Device;
use crate::enrol::plain_challenge;
use crate::{Transport, Wallet, WalletError};
use hufu_kernel::{Bytes, Epoch, Label, NodeIndex, Octets, Refusal, framed, random};
use hufu_wire::api::Signed;
use hufu_wire::api::holder::{
    Authority, Change, Device as DeviceRecord, Done, EpochReport, OpenHolder, Statement, StatementAccepted,
    SubmitReports, SubmitStatement,
};
use hufu_wire::network_number::NetworkNumber;
use hufu_wire::webauthn::credential_hash;

impl<T: Transport, D: Device> Wallet<T, D> {
    /// Opens the holder key's quarter of an hour at every node that answers.
    ///
    /// # Errors
    /// The last refusal, if fewer than two nodes agree.
    pub async fn open_holder(&self) -> Result<(), WalletError> {
        let t = self.clock.now();
        let credential = credential_hash(&self.device.credential_id().0);
        let assertion =
            self.device.assert(&plain_challenge(Label::Pass, &framed(&[b"holder", credential.as_slice()]), t)).await?;
        let request = OpenHolder { assertion, t };
        let mut answers = Vec::new();
        for node in NodeIndex::ALL {
            answers.push(call::<_, Done>(&self.transport, Address::Node(node), "/v1/holder", &request).await);
        }
        two_of(answers).map(|_| ())
    }

    /// Signs a change under `label` and takes it to every node; it takes effect when two have committed it.
    pub(crate) async fn change(&self, label: Label, change: Change) -> Result<Vec<StatementAccepted>, WalletError> {
        // A lock or a leaving must not wait for a window: reading the row needs one, so it is opened first.
        let row = match self.row_of_two().await {
            Ok(row) => row,
            Err(WalletError::Refused(Refusal::HolderKeyRefused)) => {
                self.open_holder().await?;
                self.row_of_two().await?
            }
            Err(error) => return Err(error),
        };
        let statement = Statement { version: row.0, head: row.1, t: self.clock.now(), change };
        let bytes = serde_json::to_vec(&statement).map_err(|_| Refusal::Malformed)?;
        let assertion = self.device.assert(&plain_challenge(label, &bytes, statement.t)).await?;
        let request = SubmitStatement { statement: Bytes(bytes), authority: Authority::Device(assertion), pair: None };
        let mut answers = Vec::new();
        for node in NodeIndex::ALL {
            answers.push(call(&self.transport, Address::Node(node), "/v1/statements", &request).await);
        }
        let accepted: Vec<StatementAccepted> = two_of(answers)?;
        let same = |one: &&StatementAccepted| accepted.iter().filter(|other| other.head == one.head).count() >= 2;
        let agreed = accepted.iter().find(same).map(|one| one.head).ok_or(Refusal::NodesDisagree)?;
        Ok(accepted.into_iter().filter(|one| one.head == agreed).collect())
    }

    /// The version and head that two nodes have: without two, nothing is begun.
    pub(crate) async fn row_of_two(&self) -> Result<(u64, hufu_kernel::Head), WalletError> {
        let mut answers = Vec::new();
        for node in NodeIndex::ALL {
            answers.push(self.row(node).await.map(|row| (row.version, row.head)));
        }
        let rows = two_of(answers)?;
        // A node that is ahead alone, or lies, must not stop the other two.
        let shared = |row: &&(u64, hufu_kernel::Head)| rows.iter().filter(|other| other == row).count() >= 2;
        Ok(rows.iter().filter(shared).max_by_key(|row| row.0).copied().ok_or(Refusal::NodesDisagree)?)
    }

    /// Stops all use.
    ///
    /// # Errors
    /// The nodes' refusals, if fewer than two agree.
    pub async fn lock(&self) -> Result<(), WalletError> {
        self.change(Label::Lock, Change::Lock {}).await.map(|_| ())
    }

    /// Resumes use.
    ///
    /// # Errors
    /// As [`Wallet::lock`].
    pub async fn unlock(&self) -> Result<(), WalletError> {
        self.change(Label::Unlock, Change::Unlock {}).await.map(|_| ())
    }

    /// Ends all sessions: platforms see another epoch pseudonym at the next sign-in.
    ///
    /// # Errors
    /// As [`Wallet::lock`].
    pub async fn end_sessions(&mut self) -> Result<(), WalletError> {
        let epoch = Epoch::from(random(self.rng.as_ref()));
        let accepted = self.change(Label::EndSessions, Change::EndSessions { epoch }).await?;
        let reports: Vec<Signed<EpochReport>> = accepted.into_iter().filter_map(|accepted| accepted.report).collect();
        let reports = self.state.commitments.renew_epoch(&self.trust, &reports)?;
        let request = SubmitReports { credential: credential_hash(&self.device.credential_id().0), reports };
        let mut answers = Vec::new();
        for node in NodeIndex::ALL {
            answers.push(call::<_, Done>(&self.transport, Address::Node(node), "/v1/reports", &request).await);
        }
        two_of(answers).map(|_| ())
    }

    /// A new network number.
    ///
    /// # Errors
    /// As [`Wallet::lock`]; [`Refusal::VersionConflict`] if the number drawn is taken: repeat.
    pub async fn replace_number(&mut self) -> Result<(), WalletError> {
        let number = NetworkNumber::random(self.rng.as_ref());
        self.change(Label::ReplaceNumber, Change::ReplaceNumber { number: number.clone() }).await?;
        self.state.number = Some(number);
        Ok(())
    }

    /// Registers another device of the same person.
    ///
    /// # Errors
    /// As [`Wallet::lock`].
    pub async fn add_device(&self, other: &impl Device) -> Result<(), WalletError> {
        let device = DeviceRecord {
            credential: credential_hash(&other.credential_id().0),
            key: other.key(),
            holder_key: other.holder_key(),
            since: self.clock.now().minute(),
            not_before: None,
        };
        self.change(Label::AddDevice, Change::AddDevice { device }).await.map(|_| ())
    }

    /// Removes a device.
    ///
    /// # Errors
    /// As [`Wallet::lock`]; [`Refusal::LastDevice`].
    pub async fn remove_device(&self, credential: Octets<32>) -> Result<(), WalletError> {
        self.change(Label::RemoveDevice, Change::RemoveDevice { credential }).await.map(|_| ())
    }

    /// Leaves the service; only the tag index stays.
    ///
    /// # Errors
    /// As [`Wallet::lock`].
    pub async fn leave(&mut self) -> Result<(), WalletError> {
        self.change(Label::Leave, Change::Leave {}).await?;
        self.state = crate::State::default();
        Ok(())
    }
}

/// Two answers at least, or why not.
pub(crate) fn two_of<R>(answers: Vec<Result<R, WalletError>>) -> Result<Vec<R>, WalletError> {
    let mut good = Vec::new();
    let mut refusal = None;
    for answer in answers {
        match answer {
            Ok(answer) => good.push(answer),
            Err(WalletError::Unreachable { .. }) => {}
            Err(error) => refusal = Some(error),
        }
    }
    if good.len() >= 2 { Ok(good) } else { Err(refusal.unwrap_or(WalletError::Refused(Refusal::NodesUnavailable))) }
}
