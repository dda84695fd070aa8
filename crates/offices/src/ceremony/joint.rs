//! Coin flips and distributed generations as parts of a ceremony's rounds.

use super::CeremonyError;
use super::engine::{Context, Round};
use super::own_keys::pending;
use super::secrets::Secrets;
use hufu_kernel::{Bytes, KeyUse, NodeIndex, Octets, Secret};
use hufu_pairwise::{
    CoinFlip, CoinName, CoinRevealed, Generated, GenerationOpened, GenerationShared, GroupKey, SharedKey, SharesFor,
    consistent, generation, key_check_message,
};
use hufu_wire::api::ceremony::{Check, Open, Said, SharedPublic};
use hufu_wire::api::trust::node_name;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

type Opens = BTreeMap<&'static str, Open>;
type SecretsFor = BTreeMap<&'static str, Secrets>;

/// A key that nodes flip coins for.
#[derive(Clone, Debug)]
pub(super) struct Coin {
    pub key: String,
    pub holders: Vec<NodeIndex>,
}

/// This node's flips, before it has heard the others' commitments.
pub(super) struct Flips(Vec<(Coin, CoinFlip)>);

/// This node's flips, when it has told what it drew.
pub(super) struct Revealed(Vec<(Coin, CoinRevealed)>);

fn name(cx: &Context, key: &str) -> CoinName {
    CoinName { ceremony: cx.id, key: key.to_owned() }
}

impl Flips {
    /// Draws for all coins that `own` takes part in; the commitments go into `open`.
    pub fn start(cx: &Context, own: NodeIndex, coins: &[Coin], open: &mut Open) -> Result<Self, CeremonyError> {
        let mut flips = Vec::new();
        for coin in coins.iter().filter(|coin| coin.holders.contains(&own)) {
            let holders = coin.holders.iter().copied();
            let (flip, commitment) = CoinFlip::start(name(cx, &coin.key), own, holders, cx.setup.rng.as_ref())
                .map_err(|error| CeremonyError::joint(1, error, node_name))?;
            open.coins.insert(coin.key.clone(), commitment);
            flips.push((coin.clone(), flip));
        }
        Ok(Self(flips))
    }

    /// Takes the others' commitments, and tells each what this node drew.
    pub fn reveal(self, own: NodeIndex, opens: &Opens, secrets: &mut SecretsFor) -> Result<Revealed, CeremonyError> {
        let mut revealed = Vec::new();
        for (coin, flip) in self.0 {
            let others: Vec<NodeIndex> = coin.holders.iter().copied().filter(|holder| *holder != own).collect();
            let mut commitments = BTreeMap::new();
            for other in &others {
                let office = node_name(*other);
                let commitment = opens.get(office).and_then(|open| open.coins.get(&coin.key));
                let missing = || CeremonyError::misbehaved(1, office, format!("no commitment for {}", coin.key));
                commitments.insert(*other, *commitment.ok_or_else(missing)?);
            }
            let (state, r) = flip.reveal(commitments).map_err(|error| CeremonyError::joint(1, error, node_name))?;
            for other in others {
                secrets.entry(node_name(other)).or_default().coins.insert(coin.key.clone(), Octets(*r.expose()));
            }
            revealed.push((coin, state));
        }
        Ok(Revealed(revealed))
    }
}

impl Revealed {
    /// The keys, pending in this node's keeper; their check values go into `check`.
    pub fn finish(self, cx: &Context, own: NodeIndex, round: &Round, check: &mut Check) -> Result<(), CeremonyError> {
        for (coin, state) in self.0 {
            let mut reveals = BTreeMap::new();
            for other in coin.holders.iter().copied().filter(|holder| *holder != own) {
                let office = node_name(other);
                let r = round.secrets.get(office).and_then(|secrets| secrets.coins.get(&coin.key));
                let missing =
                    || CeremonyError::misbehaved(round.number, office, format!("does not reveal for {}", coin.key));
                reveals.insert(other, Secret::new(r.ok_or_else(missing)?.0));
            }
            let key = state.finish(reveals).map_err(|error| CeremonyError::joint(round.number, error, node_name))?;
            let held = pending(&coin.key);
            cx.setup.keys.import(&held, KeyUse::Hmac, key.expose())?;
            check.keys.insert(coin.key.clone(), check_value(cx, &coin.key, &held)?);
        }
        Ok(())
    }
}

/// What a holder shows of a key: HMAC under it, over its name and the ceremony's.
pub(super) fn check_value(cx: &Context, key: &str, held_as: &str) -> Result<Octets<32>, CeremonyError> {
    Ok(cx.setup.keys.hmac(held_as, &key_check_message(&name(cx, key)))?)
}

/// Everybody's [`Check`].
pub(super) fn checks(round: &Round) -> Result<BTreeMap<&'static str, Check>, CeremonyError> {
    round
        .said
        .iter()
        .map(|(office, said)| match said {
            Said::Check(check) => Ok((*office, (**check).clone())),
            _ => Err(round.out_of_turn(office)),
        })
        .collect()
}

/// Refuses unless the holders of each key show the same of it.
pub(super) fn same_keys(
    checks: &BTreeMap<&'static str, Check>,
    keys: &[(String, Vec<&'static str>)],
) -> Result<(), CeremonyError> {
    for (key, holders) in keys {
        let shown = |office: &&'static str| checks.get(office).and_then(|check| check.keys.get(key));
        let first = holders.first().and_then(shown);
        if first.is_none() || holders.iter().any(|office| shown(office) != first) {
            return Err(CeremonyError::Apart { offices: holders.clone(), what: format!("the key {key}") });
        }
    }
    Ok(())
}

/// Refuses unless the three holders have one public part, which is a line's.
pub(super) fn same_shared<K: SharedKey>(
    checks: &BTreeMap<&'static str, Check>,
    kin: [&'static str; 3],
) -> Result<GroupKey, CeremonyError> {
    let said = kin.map(|office| checks.get(office).and_then(|check| check.shared.clone()));
    let [Some(one), two, three] = said else {
        return Err(CeremonyError::Apart { offices: vec![kin[0]], what: "the public part of a shared key".to_owned() });
    };
    let differs = [(kin[1], two), (kin[2], three)].into_iter().filter(|(_, other)| other.as_ref() != Some(&one));
    let offices: Vec<&'static str> = differs.map(|(office, _)| office).collect();
    let public = GroupKey { verifying_key: one.key, verifying_shares: one.shares };
    if !offices.is_empty() || !consistent::<K>(&public) {
        let offices = if offices.is_empty() { kin.to_vec() } else { offices };
        return Err(CeremonyError::Apart { offices, what: "the public part of a shared key".to_owned() });
    }
    Ok(public)
}

/// Three offices that generate a key: who they are, and which of them this one is.
#[derive(Clone, Copy)]
pub(super) struct Kin {
    pub own: NodeIndex,
    pub name: fn(NodeIndex) -> &'static str,
}

impl Kin {
    pub fn others(self) -> impl Iterator<Item = (NodeIndex, &'static str)> {
        let others = NodeIndex::ALL.into_iter().filter(move |index| *index != self.own);
        others.map(move |index| (index, (self.name)(index)))
    }

    pub fn begin<K: SharedKey>(self, cx: &Context, open: &mut Open) -> Result<GenerationOpened<K>, CeremonyError> {
        let (state, package) = generation::<K>(self.own, cx.setup.rng.as_ref())
            .map_err(|error| CeremonyError::joint(1, error, self.name))?;
        open.package = Some(package);
        Ok(state)
    }

    pub fn share<K: SharedKey>(
        self,
        state: GenerationOpened<K>,
        opens: &Opens,
        secrets: &mut SecretsFor,
    ) -> Result<GenerationShared<K>, CeremonyError> {
        let mut packages = BTreeMap::new();
        for (index, office) in self.others() {
            let package = opens.get(office).and_then(|open| open.package.clone());
            let missing = || CeremonyError::misbehaved(1, office, "no package of a generation");
            packages.insert(index, package.ok_or_else(missing)?);
        }
        let (state, shares) = state.share(&packages).map_err(|error| CeremonyError::joint(1, error, self.name))?;
        for (index, share) in shares {
            secrets.entry((self.name)(index)).or_default().share = Some(Bytes(share.to_vec()));
        }
        Ok(state)
    }

    pub fn finish<K: SharedKey>(
        self,
        state: GenerationShared<K>,
        round: &Round,
        check: &mut Check,
    ) -> Result<Generated<K>, CeremonyError> {
        let mut shares = SharesFor::new();
        for (index, office) in self.others() {
            let share = round.secrets.get(office).and_then(|secrets| secrets.share.as_ref());
            let missing = || CeremonyError::misbehaved(round.number, office, "no share for this office");
            shares.insert(index, Zeroizing::new(share.ok_or_else(missing)?.0.clone()));
        }
        let generated = state.finish(&shares).map_err(|error| CeremonyError::joint(round.number, error, self.name))?;
        let public = generated.public();
        check.shared = Some(SharedPublic { key: public.verifying_key, shares: public.verifying_shares });
        Ok(generated)
    }
}
