//! A node: device keys, pseudonyms, signatures. It knows handles; it knows no names and keeps no platform.

mod advance;
mod asking;
mod change;
mod enrol;
mod gate;
mod generations;
mod handles;
mod paper;
mod peer;
mod recover;
mod requests;
mod row;
mod sessions;
mod sign_in;
mod statements;
mod sub_keys;

pub use enrol::sealing_aad;
pub use paper::{PASS_TYP, VCT};
pub use peer::{Beside, Compared, Settling, Standing, mark_restored, settle_by_order, unmark};
pub use requests::{HOURLY_REQUESTS, OPEN_REQUESTS, PLATFORM_REQUESTS, REQUEST_SECONDS, TOLD_SECONDS};
pub use row::{Commitments, HeldStatement, Issued, OpenVote, Private, Remembered, Row};

use crate::ports;
use gate::Gate;
use generations::Generations;
use hufu_domain::holder::Holder;
use hufu_domain::rules::Rules;
use hufu_kernel::{Clock, Handle, Key, KeyStore, NodeIndex, Octets, Pair, Refusal, Rng, Timestamp, framed, offices};
use hufu_pairwise::{Intl, Signer, Suite};
use hufu_store::{Batch, Expect, IdempotencyKey, MemoryOnce, Once, Schema, Store, StoreError, TrustRoot, Versioned};
use hufu_wire::api::sign_in::RowState;
use hufu_wire::api::trust::{Trust, node_name};
use hufu_wire::jose::RsaKey;
use sessions::Sessions;
use std::sync::{Arc, RwLock};
use subtle::ConstantTimeEq;

/// The records of a node's store.
#[must_use]
pub fn schema(trust: TrustRoot, index: NodeIndex) -> Schema<offices::Node> {
    Schema::new(trust).numbered(index).record::<Row>().record::<Remembered>().record::<Standing>()
}

/// What a node is started with.
pub struct NodeParts {
    /// 1, 2 or 3.
    pub index: NodeIndex,
    /// The trust root's public half.
    pub trust: Arc<Trust>,
    /// The node's keys (names: docs/trust.md).
    pub keys: Arc<dyn KeyStore>,
    /// One-key mode RS256, sandbox `basic` clients only.
    pub rs256: Option<RsaKey>,
    /// The node's own store.
    pub store: Store<offices::Node>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Rules.
    pub rules: Arc<Rules>,
    /// Uniqueness, for pending rows and leaving.
    pub uniqueness: Arc<dyn ports::Uniqueness>,
    /// Post, for leaving.
    pub post: Arc<dyn ports::Post>,
    /// The other two nodes, in order.
    pub peers: [Arc<dyn ports::NodePeer>; 2],
}

/// A node.
pub struct Node {
    index: NodeIndex,
    trust: Arc<Trust>,
    keys: Arc<dyn KeyStore>,
    generations: RwLock<Arc<Generations>>,
    looked_for_keys: tokio::sync::Mutex<Option<Timestamp>>,
    advance: advance::Pass,
    rs256: Option<RsaKey>,
    store: Store<offices::Node>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    rules: Arc<Rules>,
    uniqueness: Arc<dyn ports::Uniqueness>,
    post: Arc<dyn ports::Post>,
    beyond: peer::Beyond,
    signer: Signer,
    group_kid: String,
    gate: Gate,
    handle_key: handles::HandleKey,
    sign_ins: Sessions<sign_in::Begun>,
    signings: Sessions<paper::Begun>,
    requests: requests::Requests,
    once: MemoryOnce,
    password_turns: [tokio::sync::Mutex<()>; sign_in::PASSWORD_TURNS],
    asking: Option<asking::Persons>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.index)
    }
}

/// One-time values remembered at once: two minutes of 20,000 a second.
const ONCE_CAPACITY: usize = 2_400_000;

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if a key is missing or is another node's.
    pub fn new(parts: NodeParts) -> Result<Self, Refusal> {
        let share = parts.keys.share("frost-share").map_err(|error| crate::broken(&error))?;
        let signer = Signer::from_share(&share).map_err(|error| crate::broken(&error))?;
        if signer.index() != parts.index {
            return Err(crate::broken(&"the FROST share is another node's"));
        }
        let group_kid =
            parts.trust.group_jwk().and_then(|jwk| jwk.kid).ok_or_else(|| crate::broken(&"the group key is no key"))?;
        let gate = Gate::new(parts.trust.offices.registry);
        let handle_key = handles::HandleKey::of(parts.keys.as_ref())?;
        let generations = Generations::look(parts.keys.as_ref(), parts.index, 0)?;
        Ok(Self {
            index: parts.index,
            trust: parts.trust,
            keys: parts.keys,
            generations: RwLock::new(Arc::new(generations)),
            looked_for_keys: tokio::sync::Mutex::new(None),
            advance: advance::Pass::default(),
            rs256: parts.rs256,
            store: parts.store,
            clock: parts.clock,
            rng: parts.rng,
            rules: parts.rules,
            uniqueness: parts.uniqueness,
            post: parts.post,
            beyond: peer::Beyond::new(parts.peers),
            signer,
            group_kid,
            gate,
            handle_key,
            sign_ins: Sessions::default(),
            signings: Sessions::default(),
            requests: requests::Requests::default(),
            once: MemoryOnce::new(ONCE_CAPACITY),
            password_turns: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            asking: None,
        })
    }

    /// Which node this is.
    #[must_use]
    pub fn index(&self) -> NodeIndex {
        self.index
    }

    /// The name it signs under.
    fn name(&self) -> &'static str {
        node_name(self.index)
    }

    /// The row that holds this credential.
    async fn row_of(&self, credential: &Octets<32>) -> Result<Versioned<Row>, Refusal> {
        self.store.find::<Row>("credential", credential.as_slice()).await?.ok_or(Refusal::UnknownDevice)
    }

    fn private(&self, row: &Row) -> Result<Private, Refusal> {
        let bytes =
            self.keys.open("rows", row.handle.as_slice(), &row.private).map_err(|error| crate::broken(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| crate::unreadable("a row", &error))
    }

    fn seal(&self, handle: &Handle, private: &Private) -> Result<hufu_kernel::Sealed, Refusal> {
        let bytes = zeroize::Zeroizing::new(serde_json::to_vec(private).map_err(|error| crate::broken(&error))?);
        self.keys.seal("rows", handle.as_slice(), &bytes).map_err(|error| crate::broken(&error))
    }

    /// Writes a row at the version it was read; a random key, since a lost answer is answered by deciding again.
    async fn put(&self, row: &Row, found: Option<&Versioned<Row>>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(row, Expect::as_read(found));
        self.store.commit(batch, IdempotencyKey::random(self.rng.as_ref(), self.clock.now())).await?;
        Ok(())
    }

    async fn delete(&self, found: &Versioned<Row>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.delete::<Row>(&Key::own(found.record.handle.as_slice()), found.version);
        self.store.commit(batch, IdempotencyKey::random(self.rng.as_ref(), self.clock.now())).await?;
        Ok(())
    }

    /// Uses a one-time value.
    async fn once(&self, kind: &[u8], value: &[u8], seconds: i64) -> Result<(), Refusal> {
        let now = self.clock.now();
        let fresh = self.once.insert_once(&framed(&[kind, value]), now + seconds, now).await;
        match fresh {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Replayed),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// This node's (version, status, epoch), salted, with a code only the peer can check (flows 6). Where sub-keys are used, their
    /// generation too; the first one says nothing, as before there were others. The salt must be new for each signing: who keeps a peer's
    /// word could else bring it when the peer's row has changed. `besides` is what else the peer is to have from this node unchanged.
    fn state(
        &self,
        holder: &Holder,
        generation: u32,
        pair: Pair,
        (salt, besides): (&[u8], Option<&[u8]>),
    ) -> Result<RowState, Refusal> {
        let (version, counts) = (holder.version.to_be_bytes(), generation.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![
            b"hufu-v1-state",
            &version,
            holder.head.as_slice(),
            holder.status.name().as_bytes(),
            holder.epoch.as_slice(),
            salt,
        ];
        if generation > 0 {
            parts.push(&counts);
        }
        let digest = Octets(Intl::hash(&framed(&parts)));
        Ok(RowState { digest, code: self.channel_code(pair, self.index, &digest, besides)? })
    }

    fn channel_code(
        &self,
        pair: Pair,
        speaker: NodeIndex,
        digest: &Octets<32>,
        besides: Option<&[u8]>,
    ) -> Result<Octets<32>, Refusal> {
        let name = self.peer_key(pair.other(self.index).ok_or(Refusal::Malformed)?)?;
        let speaker = [speaker.get()];
        let mut parts: Vec<&[u8]> = vec![b"hufu-v1-state-code", &speaker, digest.as_slice()];
        parts.extend(besides);
        self.keys.hmac(&name, &framed(&parts)).map_err(|error| crate::broken(&error))
    }

    /// Whether the peer's row is in the same state as this node's, and what came with its word is the peer's.
    fn agree(&self, own: &RowState, (peer, besides): (&RowState, Option<&[u8]>), pair: Pair) -> Result<(), Refusal> {
        let other = pair.other(self.index).ok_or(Refusal::Malformed)?;
        let code = self.channel_code(pair, other, &peer.digest, besides)?;
        if !bool::from(code.as_slice().ct_eq(peer.code.as_slice())) {
            return Err(Refusal::SignatureRefused);
        }
        if own.digest == peer.digest { Ok(()) } else { Err(Refusal::NodesDisagree) }
    }

    fn other(&self, pair: Pair) -> Result<NodeIndex, Refusal> {
        pair.other(self.index).ok_or(Refusal::Malformed)
    }
}
