//! Hufu's lanes: the front with the driver as wallet and nodes, and the whole trust path.

use super::connection::{Answer, Connection, JSON, Message};
use super::platform::{Platforms, Prepared};
use super::{Failure, Lane, text};
use crate::http::Addresses;
use hufu_kernel::{NodeIndex, Octets, Pair, Strength, b64, random};
use hufu_wallet::{Agreement, Group, Terms};
use hufu_wire::api::platform::PlatformCertificate;
use hufu_wire::api::sign_in::{
    Answers, BeginSignIn, CompleteSignIn, Continue, FinishSignIn, IdToken, SignInOffer, SignInShare, Transaction,
    VerificationResult, acr, amr,
};
use hufu_wire::jose::{self, Alg, Compact, Header};
use hufu_wire::webauthn::SoftDevice;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// Seconds an ID token lives.
const ID_TOKEN_LIFE: i64 = 300;

/// A running service and who uses it.
pub struct Service {
    /// Where it answers.
    pub addresses: Addresses,
    /// The platforms' clients.
    pub platforms: Platforms,
    /// Their certificates, in the same order.
    pub certificates: Vec<PlatformCertificate>,
    /// The devices of the persons who are enrolled.
    pub devices: Vec<SoftDevice>,
    /// The nodes' group key.
    pub group: Group,
    /// Its `kid`.
    pub group_kid: String,
    /// The wallet's host and origin, which devices sign.
    pub wallet: (String, String),
}

/// Signs with the bench root's whole key; where that runs is the caller's choice.
pub type Sign = Box<dyn Fn(Vec<u8>) -> Pin<Box<dyn Future<Output = Option<[u8; 64]>>>>>;

/// A sign-in that is ready to begin.
pub struct Ready {
    prepared: Prepared,
    number: usize,
}

/// A sign-in that has reached the wallet.
struct AtWallet {
    transaction: Transaction,
    agreement: Agreement,
    cookie: String,
}

impl Service {
    fn ready(&self, number: usize) -> Result<Ready, Failure> {
        Ok(Ready { prepared: self.platforms.prepare(number)?, number })
    }

    /// PAR, authorization, the wallet's fetch of the transaction.
    async fn arrive(&self, front: &mut Connection, ready: &mut Ready) -> Result<AtWallet, Failure> {
        let path = self.platforms.push(front, &mut ready.prepared).await?;
        let begun = front.get(Message { path: &path, ..Message::default() }).await?;
        let to_wallet = begun.redirect("authorize")?;
        let tx = to_wallet.split(['?', '&']).find_map(|pair| pair.strip_prefix("tx="));
        let tx = tx.ok_or_else(|| format!("authorize led to {to_wallet}"))?;
        let path = format!("/tx/{tx}");
        let told = front.get(Message { path: &path, ..Message::default() }).await?;
        let jws = Compact::parse(told.expect("tx", 200)?.text()?).map_err(text)?;
        let transaction: Transaction = jws.unverified().json().map_err(text)?;
        let certificate = &self.certificates[ready.prepared.platform];
        let now = self.platforms.clock.now();
        let terms = Terms {
            answers: &transaction.answers.clone(),
            strength: Strength::Certificate,
            s: Octets(random(self.platforms.rng.as_ref())),
            proved: now,
            now,
        };
        let agreement = Agreement::new(&transaction, certificate, terms);
        // A browser sends both cookies back; over plain http they carry the same value.
        Ok(AtWallet { transaction, agreement, cookie: begun.cookies() })
    }

    /// The result to the front, the code to the platform.
    async fn complete(
        &self,
        front: &mut Connection,
        ready: &mut Ready,
        at: &AtWallet,
        id_token: String,
        verify: bool,
    ) -> Result<(), Failure> {
        // Platforms that get a subject handle take no part: nodes and front do more for them.
        let code = self.code(front, at, id_token).await?;
        self.redeem(front, &mut ready.prepared, &code, verify).await
    }

    /// The result to the front; what comes back to the platform with the browser.
    async fn code(&self, front: &mut Connection, at: &AtWallet, id_token: String) -> Result<Code, Failure> {
        let result = CompleteSignIn { tx: at.transaction.tx, id_token, s: at.agreement.consent.s, handle: None };
        let message = Message { path: "/complete", content_type: JSON, cookie: Some(&at.cookie), dpop: None };
        let answer = front.post(message, serde_json::to_vec(&result).map_err(text)?).await?;
        let next: Continue = read("complete", &answer)?;
        Ok(Code { redirect: next.redirect_to, id_token: result.id_token })
    }

    /// The code to the front, by the platform.
    async fn redeem(
        &self,
        front: &mut Connection,
        prepared: &mut Prepared,
        code: &Code,
        verify: bool,
    ) -> Result<(), Failure> {
        let redeemed = self.platforms.redeem(front, prepared, &code.redirect).await?;
        if redeemed.id_token != code.id_token {
            return Err("token: not the ID token that was signed".into());
        }
        if verify {
            self.platforms.verify(prepared, &redeemed)?;
        }
        Ok(())
    }
}

/// A code that was not redeemed yet, and the ID token that is in it.
struct Code {
    redirect: String,
    id_token: String,
}

/// Row 1: the driver plays wallet and nodes and posts tokens it has signed to the front as it is.
pub struct Bare {
    /// The service.
    pub service: Rc<Service>,
    /// The group's whole key.
    pub sign: Sign,
}

impl Lane for Bare {
    type Ready = Ready;
    type Lines = Connection;

    async fn ready(&self, number: usize) -> Result<Ready, Failure> {
        self.service.ready(number)
    }

    async fn lines(&self) -> Result<Connection, Failure> {
        Connection::open(&self.service.addresses.issuer).await
    }

    async fn sign_in(&self, front: &mut Connection, mut ready: Ready, verify: bool) -> Result<(), Failure> {
        let at = self.service.arrive(front, &mut ready).await?;
        let id_token = self.signed(&at, ready.number).await?;
        self.service.complete(front, &mut ready, &at, id_token, verify).await
    }
}

impl Bare {
    async fn signed(&self, at: &AtWallet, number: usize) -> Result<String, Failure> {
        let person = number % self.service.devices.len();
        let header = Header::new(Alg::EdDSA).typ("JWT").kid(&self.service.group_kid);
        let input = jose::signing_input(&header, &played(&at.agreement, person)).map_err(text)?;
        let signature = (self.sign)(input.clone().into_bytes()).await.ok_or("the signing thread is gone")?;
        Ok(jose::assemble(&input, &signature))
    }
}

/// The token endpoint alone: everything before it was done before the clock started.
pub struct Redeemed {
    /// How sign-ins come to their code.
    pub bare: Rc<Bare>,
    /// The connection they come over.
    spare: RefCell<Option<Connection>>,
}

impl Redeemed {
    /// The token endpoint of what `bare` signs in at.
    #[must_use]
    pub fn new(bare: Rc<Bare>) -> Self {
        Self { bare, spare: RefCell::default() }
    }
}

/// A sign-in whose code is to be redeemed.
pub struct Signed {
    prepared: Prepared,
    code: Code,
}

impl Lane for Redeemed {
    type Ready = Signed;
    type Lines = Connection;

    async fn ready(&self, number: usize) -> Result<Signed, Failure> {
        let service = &self.bare.service;
        // The service may have ended it since the last round.
        let spare = self.spare.borrow_mut().take().filter(Connection::is_open);
        let mut front = match spare {
            Some(front) => front,
            None => self.lines().await?,
        };
        let mut ready = service.ready(number)?;
        let at = service.arrive(&mut front, &mut ready).await?;
        let id_token = self.bare.signed(&at, number).await?;
        let code = service.code(&mut front, &at, id_token).await?;
        self.spare.replace(Some(front));
        Ok(Signed { prepared: ready.prepared, code })
    }

    async fn lines(&self) -> Result<Connection, Failure> {
        self.bare.lines().await
    }

    async fn sign_in(&self, front: &mut Connection, mut ready: Signed, verify: bool) -> Result<(), Failure> {
        self.bare.service.redeem(front, &mut ready.prepared, &ready.code, verify).await
    }
}

/// What two nodes would have said of this person, with a pseudonym that is none.
fn played(agreement: &Agreement, person: usize) -> IdToken {
    let agreed = &agreement.consent;
    let mut name = [0; 32];
    name[..8].copy_from_slice(&u64::try_from(person).unwrap_or_default().to_be_bytes());
    let told = |answer| agreed.answers.contains(&answer).then_some(true);
    let band = agreed.answers.contains(&hufu_kernel::Answer::AgeBand).then_some(hufu_kernel::AgeBand::Adult);
    IdToken {
        iss: agreed.iss.clone(),
        sub: b64(&name),
        aud: agreed.client_id.clone(),
        nonce: agreed.nonce.clone(),
        iat: agreed.iat,
        exp: agreed.iat + ID_TOKEN_LIFE,
        auth_time: agreed.t,
        acr: acr(agreed.strength).to_owned(),
        amr: amr(agreed.strength),
        hufu: VerificationResult {
            v: 1,
            ep: b64(&name),
            ctx: Octets(agreement.ctx),
            strength: agreed.strength,
            answers: Answers {
                real: told(hufu_kernel::Answer::Real),
                unique: told(hufu_kernel::Answer::Unique),
                alive: told(hufu_kernel::Answer::Alive),
                age_over_18: told(hufu_kernel::Answer::AgeOver18),
                age_band: band,
                guardian_consent: told(hufu_kernel::Answer::GuardianConsent),
            },
            handle: None,
        },
    }
}

/// Row 2: device assertion, two nodes, their signature.
pub struct Whole {
    /// The service.
    pub service: Rc<Service>,
}

/// One user's connections to the front and to the nodes.
pub struct Lines {
    front: Connection,
    nodes: [Connection; 3],
}

impl Lane for Whole {
    type Ready = Ready;
    type Lines = Lines;

    async fn ready(&self, number: usize) -> Result<Ready, Failure> {
        self.service.ready(number)
    }

    async fn lines(&self) -> Result<Lines, Failure> {
        let [one, two, three] = &self.service.addresses.nodes;
        Ok(Lines {
            front: Connection::open(&self.service.addresses.issuer).await?,
            nodes: [Connection::open(one).await?, Connection::open(two).await?, Connection::open(three).await?],
        })
    }

    async fn sign_in(&self, lines: &mut Lines, mut ready: Ready, verify: bool) -> Result<(), Failure> {
        let service = &self.service;
        let at = service.arrive(&mut lines.front, &mut ready).await?;
        let device = &service.devices[ready.number % service.devices.len()];
        let pair = Pair::ALL[ready.number % Pair::ALL.len()];
        let members = pair.members();
        let (rp_id, origin) = &service.wallet;
        let begin = BeginSignIn {
            pair,
            consent: at.agreement.consent.clone(),
            assertion: device.get(rp_id, origin, &at.agreement.challenge),
            password: None,
        };
        let begin = serde_json::to_vec(&begin).map_err(text)?;
        let offers: [SignInOffer; 2] = [
            ask(&mut lines.nodes, members[0], "/v1/sign-in/begin", begin.clone()).await?,
            ask(&mut lines.nodes, members[1], "/v1/sign-in/begin", begin).await?,
        ];
        let finish = |own: usize| {
            let request = FinishSignIn { session: offers[own].session, peer: offers[1 - own].clone() };
            serde_json::to_vec(&request).map_err(text)
        };
        let shares: [SignInShare; 2] = [
            ask(&mut lines.nodes, members[0], "/v1/sign-in/finish", finish(0)?).await?,
            ask(&mut lines.nodes, members[1], "/v1/sign-in/finish", finish(1)?).await?,
        ];
        let signature = service.group.add(members, &offers, &shares).map_err(text)?;
        let id_token = jose::assemble(&shares[0].signing_input, signature.as_slice());
        service.complete(&mut lines.front, &mut ready, &at, id_token, verify).await
    }
}

async fn ask<T: serde::de::DeserializeOwned>(
    nodes: &mut [Connection; 3],
    node: NodeIndex,
    path: &str,
    body: Vec<u8>,
) -> Result<T, Failure> {
    let message = Message { path, content_type: JSON, ..Message::default() };
    read(path, &nodes[node.slot()].post(message, body).await?)
}

fn read<T: serde::de::DeserializeOwned>(step: &str, answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.expect(step, 200)?.body).map_err(|error| format!("{step}: {error}"))
}
