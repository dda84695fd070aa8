//! Enrolment from the person's side (flows 5).

use crate::call::{Address, call};
use crate::device::Device;
use crate::state::{Commitments, Drawn, assigned};
use crate::statements::two_of;
use crate::{Transport, Wallet, WalletError};
use hufu_kernel::{Bytes, EnrolmentId, Label, Lang, NodeIndex, Pair, Timestamp, framed};
use hufu_pairwise::{
    Intl, ParamsId, PasswordKey, challenge, check_password, combine_sum, finalize, harden, oprf_blind, oprf_verify,
    statement_context,
};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{
    CodeStep, ConfirmStep, DeviceEnrolled, DeviceStep, EnrolDevice, EnrolPassword, EnrolmentView, FaceStep,
    PasswordRecord, PhoneStep, Ready, StartEnrolment, Started, Ticket,
};
use hufu_wire::documents::DocumentType;

/// What the person says about themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Details {
    /// One of seven types.
    pub document_type: DocumentType,
    /// As printed.
    pub document_number: String,
    /// As printed.
    pub name: String,
    /// The notice's version.
    pub notice_version: String,
    /// Dates the password must not be.
    pub birth_dates: Vec<(u16, u8, u8)>,
}

/// What the last step learnt.
#[derive(Clone, Debug)]
pub struct Enrolling {
    /// Where the enrolment stands.
    pub view: EnrolmentView,
}

/// The challenge of every label but sign-in.
pub(crate) fn plain_challenge(label: Label, bytes: &[u8], t: Timestamp) -> [u8; 32] {
    challenge::<Intl>(label, None, &[], &statement_context::<Intl>(bytes), None, t)
}

impl<T: Transport, D: Device> Wallet<T, D> {
    pub(crate) fn ticket(&self) -> Result<Ticket, WalletError> {
        self.state.ticket.clone().ok_or(WalletError::State("no enrolment has been started"))
    }

    /// Step 1.
    ///
    /// # Errors
    /// The registrar's refusals.
    pub async fn start(&mut self, details: &Details) -> Result<Enrolling, WalletError> {
        let request = StartEnrolment {
            document_type: details.document_type,
            document_number: details.document_number.clone(),
            name: details.name.clone(),
            notice_version: details.notice_version.clone(),
        };
        let started: Started = call(&self.transport, Address::Registrar, "/v1/enrol/start", &request).await?;
        self.state.ticket = Some(started.ticket);
        Ok(Enrolling { view: started.view })
    }

    /// Step 2.
    ///
    /// # Errors
    /// The registrar's refusals.
    pub async fn face(&self, evidence: &[u8]) -> Result<Enrolling, WalletError> {
        let request = FaceStep { ticket: self.ticket()?, evidence: Bytes(evidence.to_vec()) };
        Ok(Enrolling { view: call(&self.transport, Address::Registrar, "/v1/enrol/face", &request).await? })
    }

    /// Step 3.
    ///
    /// # Errors
    /// The registrar's refusals.
    pub async fn phone(&self, phone: &str, lang: Lang) -> Result<Enrolling, WalletError> {
        let request = PhoneStep { ticket: self.ticket()?, phone: phone.to_owned(), lang };
        Ok(Enrolling { view: call(&self.transport, Address::Registrar, "/v1/enrol/phone", &request).await? })
    }

    /// Step 4.
    ///
    /// # Errors
    /// The registrar's refusals.
    pub async fn code(&self, code: &str) -> Result<Enrolling, WalletError> {
        let request = CodeStep { ticket: self.ticket()?, code: code.to_owned() };
        Ok(Enrolling { view: call(&self.transport, Address::Registrar, "/v1/enrol/code", &request).await? })
    }

    /// Step 5: the passkey goes to the nodes; their commitments come back and are compared.
    ///
    /// # Errors
    /// The registrar's refusals; [`WalletError::Untrusted`] if two nodes report different keys.
    pub async fn register_device(&mut self) -> Result<Enrolling, WalletError> {
        let request = DeviceStep {
            ticket: self.ticket()?,
            credential_id: self.device.credential_id(),
            device_key: self.device.key(),
        };
        let view: EnrolmentView = call(&self.transport, Address::Registrar, "/v1/enrol/device", &request).await?;
        self.state.commitments = Commitments::from_reports(&self.trust, &view.reports)?;
        Ok(Enrolling { view })
    }

    /// The device proves itself to the nodes, and the password is made with two of them.
    ///
    /// # Errors
    /// [`hufu_kernel::Refusal::WeakPassword`] before anything is sent; the nodes' refusals.
    pub async fn secure(
        &self,
        view: &EnrolmentView,
        password: &str,
        details: &Details,
        pair: Pair,
    ) -> Result<Vec<Signed<Ready>>, WalletError> {
        check_password(password, &details.birth_dates).map_err(|_| hufu_kernel::Refusal::WeakPassword)?;
        let (key, salt) = self.first_password(view.id, &view.nodes, password, pair).await?;
        let password =
            PasswordRecord { public: hufu_kernel::Octets(key.public()), salt, params_id: ParamsId::V1.into() };
        let t = self.clock.now();
        let record = serde_json::to_vec(&password).map_err(|_| hufu_kernel::Refusal::Malformed)?;
        let chal = plain_challenge(Label::Enrol, &framed(&[view.id.as_slice(), &record]), t);
        let request = EnrolPassword {
            enrolment_id: view.id,
            password,
            t,
            holder_signature: self.device.sign(&chal).await?,
            password_signature: hufu_kernel::Octets(key.sign(&chal)),
        };
        let mut ready = Vec::new();
        for node in &view.nodes {
            ready.push(call(&self.transport, Address::Node(*node), "/v1/enrolments/password", &request).await);
        }
        two_of(ready)
    }

    async fn first_password(
        &self,
        id: EnrolmentId,
        nodes: &[NodeIndex],
        password: &str,
        pair: Pair,
    ) -> Result<(PasswordKey, Drawn), WalletError> {
        let (blind, blinded) =
            oprf_blind(password.as_bytes(), self.rng.as_ref()).map_err(|_| WalletError::State("a password"))?;
        let t = self.clock.now();
        let holder_key = self.device.holder_key();
        let bytes = framed(&[id.as_slice(), &holder_key.0, blinded.as_slice()]);
        let assertion = self.device.assert(&plain_challenge(Label::Enrol, &bytes, t)).await?;
        let request = EnrolDevice { enrolment_id: id, assertion, holder_key, blinded, pair, t };
        let mut parts = Vec::new();
        for node in nodes {
            let answer: Result<DeviceEnrolled, _> =
                call(&self.transport, Address::Node(*node), "/v1/enrolments/device", &request).await;
            // A node outside the pair that is away now makes its row from its peers later.
            let answer = match answer {
                Err(_) if !pair.members().contains(node) => continue,
                answer => answer?,
            };
            if let Some(partial) = answer.partial {
                let commitments = assigned(&self.state.commitments.password, pair, *node)?;
                parts.push(
                    oprf_verify(&partial, &commitments, &blinded)
                        .map_err(|_| WalletError::Untrusted("a password evaluation"))?,
                );
            }
        }
        if parts.len() != 2 {
            return Err(WalletError::Untrusted("a password evaluation is missing"));
        }
        let evaluated = combine_sum(&parts.iter().collect::<Vec<_>>())
            .map_err(|_| WalletError::Untrusted("a password evaluation"))?;
        let y = finalize(password.as_bytes(), &blind, &evaluated)
            .map_err(|_| WalletError::Untrusted("a password evaluation"))?;
        let salt: Drawn = self.draw();
        let key = harden(&y, &salt.0, ParamsId::V1).map_err(|_| WalletError::State("stretching a password"))?;
        Ok((key, salt))
    }

    /// Step 6: the person exists.
    ///
    /// # Errors
    /// The registrar's refusals; repeat it on [`hufu_kernel::Refusal::NodesUnavailable`].
    pub async fn confirm(&mut self, ready: Vec<Signed<Ready>>) -> Result<Enrolling, WalletError> {
        let request = ConfirmStep { ticket: self.ticket()?, ready };
        let view: EnrolmentView = call(&self.transport, Address::Registrar, "/v1/enrol/confirm", &request).await?;
        self.state.commitments = Commitments::from_reports(&self.trust, &view.reports)?;
        self.state.number.clone_from(&view.number);
        self.state.ticket = None;
        Ok(Enrolling { view })
    }
}
