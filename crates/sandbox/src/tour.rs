//! The tour: a robot enrols a fresh person, signs in to two platforms, and holds the service to its promises. What it says
//! about offices at rest it reads from their files; what it says about messages it reads from the messages.

use crate::http::send;
use crate::persons::Person;
use crate::robot::{Failure, Robot, Visit, World, wish};
use hufu_kernel::{Answer, Pair, Refusal, Strength, b64, hex};
use hufu_platform::client::{ClientError, RelyingParty, SignedIn};
use hufu_wallet::WalletError;
use hufu_wire::api::platform::PlatformCertificate;
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A platform of the tour.
pub struct Stop {
    /// Its certificate.
    pub certificate: PlatformCertificate,
    /// Its client.
    pub client: RelyingParty,
    /// What it asks.
    pub answers: Vec<Answer>,
}

/// Bytes at rest by office, as they are when it is called.
pub type Reading = Box<dyn Fn() -> Read + Send + Sync>;

/// What a [`Reading`] gives.
pub type Read = Pin<Box<dyn Future<Output = Result<Vec<(String, Vec<u8>)>, Failure>> + Send>>;

/// What the tour needs beyond the world.
pub struct Plan {
    /// A person nobody has enrolled.
    pub person: Person,
    /// The password the person chooses.
    pub password: String,
    /// Two platforms; the second wants the password.
    pub stops: [Stop; 2],
    /// Reads everything that every office keeps at rest, wherever it does.
    pub at_rest: Reading,
    /// Measures time; a parameter like every other clock.
    pub elapsed: fn() -> Duration,
}

/// One step, as printed and as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub step: String,
    /// Who learnt what.
    pub learnt: Vec<Learnt>,
    /// Milliseconds.
    pub ms: u64,
}

/// What one party learnt in a step.
#[derive(Clone, Debug, Serialize)]
pub struct Learnt {
    /// The person, an office or a platform.
    pub who: String,
    /// What.
    pub what: String,
}

/// A promise, held or broken.
#[derive(Clone, Debug, Serialize)]
pub struct Promise {
    /// The promise.
    pub promise: String,
    /// Whether it held.
    pub holds: bool,
    /// What was measured.
    pub measured: String,
}

/// The tour's outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was done, who learnt what.
    pub steps: Vec<Step>,
    /// What was promised and measured.
    pub promises: Vec<Promise>,
    /// Whether every promise held.
    pub ok: bool,
}

struct Guide<'a> {
    world: &'a World,
    plan: &'a Plan,
    report: Report,
    since: Duration,
    say: &'a mut (dyn FnMut(&Step) + Send),
}

impl Guide<'_> {
    fn step(&mut self, step: impl Into<String>, learnt: &[(&str, String)]) {
        let now = (self.plan.elapsed)();
        let learnt = learnt.iter().map(|(who, what)| Learnt { who: (*who).into(), what: what.clone() }).collect();
        let ms = u64::try_from(now.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        self.since = now;
        let step = Step { step: step.into(), learnt, ms };
        (self.say)(&step);
        self.report.steps.push(step);
    }

    fn promise(&mut self, promise: impl Into<String>, holds: bool, measured: impl Into<String>) {
        self.report.promises.push(Promise { promise: promise.into(), holds, measured: measured.into() });
    }
}

/// Runs the tour; `say` hears every step as it is done.
///
/// # Errors
/// A sentence, if a step could not be taken at all. A broken promise is no error: the report says it.
pub async fn run(world: &World, plan: &Plan, say: &mut (dyn FnMut(&Step) + Send)) -> Result<Report, Failure> {
    let since = (plan.elapsed)();
    let report = Report { steps: Vec::new(), promises: Vec::new(), ok: false };
    let mut guide = Guide { world, plan, report, since, say };
    let mut robot = world.robot()?;
    enrol(&mut guide, &mut robot).await?;
    certificate(&mut guide, &mut robot).await?;
    let subs = sign_ins(&mut guide, &mut robot).await?;
    sessions(&mut guide, &mut robot, &subs).await?;
    second_identity(&mut guide).await?;
    at_rest(&mut guide, &robot, &subs).await?;
    guide.report.ok = guide.report.promises.iter().all(|promise| promise.holds);
    Ok(guide.report)
}

async fn enrol(guide: &mut Guide<'_>, robot: &mut Robot) -> Result<(), Failure> {
    let (world, person) = (guide.world, &guide.plan.person);
    world.enrol(robot, person, &guide.plan.password).await.map_err(|error| error.to_string())?;
    let number = robot.state.number.clone().ok_or("no number came back")?;
    guide.step(
        format!("A fresh person enrols: {} ({})", person.name, person.latin),
        &[
            ("the person", format!("network number {}", number.grouped())),
            (
                "registrar",
                "document, face decision, phone; in memory, for this enrolment; keeps a draft only the wallet can open"
                    .into(),
            ),
            ("taggers", "a blinded number each; neither the number nor its tag".into()),
            ("uniqueness", "an index of the tag and a wrap it cannot open".into()),
            ("post", "a sealed phone under a random reference".into()),
            ("nodes", "handle, device key, password's public half, age band; no name, no document, no platform".into()),
            ("platforms", "nothing".into()),
        ],
    );
    Ok(())
}

async fn certificate(guide: &mut Guide<'_>, robot: &mut Robot) -> Result<(), Failure> {
    let pair = robot.any_pair();
    let count = robot.issue_certificates(pair).await.map_err(|error| error.to_string())?;
    let pass = robot.pass(robot.any_pair()).await.map_err(|error| error.to_string())?;
    guide.step(
        format!("Two nodes sign {count} copies of the certificate and a pass"),
        &[
            (
                "the person",
                format!(
                    "{count} one-use copies, each with its own key; a pass for 30 seconds ({} characters)",
                    pass.len()
                ),
            ),
            ("nodes", "that this handle asked for copies and a pass".into()),
            ("everybody else", "nothing".into()),
        ],
    );
    let keys: std::collections::BTreeSet<_> = robot.state.certificates.iter().map(|copy| copy.key.clone()).collect();
    guide.promise(
        "ten copies of the certificate, each bound to its own key",
        count == 10 && keys.len() == 10,
        format!("{count} copies, {} keys", keys.len()),
    );
    let shown = robot.state.certificates.first().map(|copy| robot.showing(copy, &["number", "age_over_18"]));
    let shown = shown.ok_or("no copy")?.map_err(|error| error.to_string())?;
    let number = robot.state.number.as_ref().map(|number| number.as_str().to_owned()).unwrap_or_default();
    let hidden = !decoded(&shown).contains(&number);
    guide.promise(
        "no platform is shown the number, even if it asks",
        hidden,
        "asked for number and age_over_18; the number stayed behind",
    );
    Ok(())
}

/// Every base64url part of a text, decoded, one after the other.
fn decoded(text: &str) -> String {
    text.split(['.', '~'])
        .filter_map(hufu_kernel::unb64)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

/// The pseudonyms seen at the two platforms.
struct Subs {
    first: SignedIn,
    second: SignedIn,
}

async fn sign_ins(guide: &mut Guide<'_>, robot: &mut Robot) -> Result<Subs, Failure> {
    let [library, shop] = &guide.plan.stops;
    let password = guide.plan.password.clone();
    let mut seen = Vec::new();
    for pair in Pair::ALL {
        let visit = Visit { platform: &library.client, wish: wish(&library.answers, None), pair, password: None };
        let known = visit.run(guide.world, robot).await?;
        let [a, b] = pair.members();
        guide.step(
            format!("Signs in to {} with nodes {a} and {b}", library.certificate.name.en),
            &learnt(&library.certificate, &known, pair),
        );
        seen.push(known);
    }
    let wishes = wish(&shop.answers, Some(Strength::CertificatePassword));
    let visit = Visit { platform: &shop.client, wish: wishes, pair: robot.any_pair(), password: Some(&password) };
    let second = visit.run(guide.world, robot).await?;
    guide.step(
        format!("Signs in to {} with certificate and password", shop.certificate.name.en),
        &learnt(&shop.certificate, &second, visit.pair),
    );
    let first = seen[0].clone();
    let same = seen.iter().all(|known| known.token.sub == first.token.sub);
    guide.promise(
        "a platform's pseudonym is stable over repeated sign-ins and with any two nodes",
        same,
        format!("3 sign-ins, pairs 1-2, 1-3, 2-3: {}", first.token.sub),
    );
    guide.promise(
        "pseudonyms differ between platforms",
        first.token.sub != second.token.sub,
        format!("{} and {}", first.token.sub, second.token.sub),
    );
    let epochs = seen.iter().all(|known| known.token.hufu.ep == first.token.hufu.ep)
        && first.token.hufu.ep != second.token.hufu.ep;
    guide.promise(
        "the epoch pseudonym is stable at one platform and differs between two",
        epochs,
        first.token.hufu.ep.clone(),
    );
    let asked = |stop: &Stop, known: &SignedIn| {
        let values = serde_json::to_value(&known.token.hufu.answers).unwrap_or_default();
        values.as_object().is_some_and(|values| {
            values.len() == stop.answers.len()
                && values.keys().all(|name| stop.answers.iter().any(|answer| answer.as_str() == name))
        })
    };
    guide.promise(
        "a platform gets the answers it asked for and no more",
        asked(library, &first) && asked(shop, &second),
        format!("{} and {} answers", library.answers.len(), shop.answers.len()),
    );
    let person = &guide.plan.person;
    let number = robot.state.number.as_ref().map(|number| number.as_str().to_owned()).unwrap_or_default();
    let secrets =
        [person.name.clone(), person.documents[0].number.expose().to_owned(), number, person.phone.as_str().to_owned()];
    let tokens = decoded(&first.id_token) + &decoded(&second.id_token);
    let clean = secrets.iter().all(|secret| !tokens.contains(secret));
    guide.promise(
        "no platform received a name, a document number, a network number or a phone",
        clean,
        format!("{} bytes of ID tokens searched for 4 values", tokens.len()),
    );
    over_asking(guide).await?;
    Ok(Subs { first, second })
}

fn learnt(certificate: &PlatformCertificate, known: &SignedIn, pair: Pair) -> Vec<(&'static str, String)> {
    let [a, b] = pair.members();
    let answers = serde_json::to_string(&known.token.hufu.answers).unwrap_or_default();
    let asked = certificate.client_id.clone();
    vec![
        ("the person", format!("a receipt for {asked}")),
        ("nodes", format!("{a} and {b}: this handle and {asked}, in memory, for seconds (level direct)")),
        ("front", format!("that somebody signed in to {asked}; not who")),
        (
            "the platform",
            format!("sub {}, answers {answers}, strength {}", known.token.sub, known.token.hufu.strength.as_str()),
        ),
        ("registrar, taggers, uniqueness, post", "nothing".into()),
    ]
}

/// The front's answer to a platform that pushes a request: the person has no part in it yet.
async fn over_asking(guide: &mut Guide<'_>) -> Result<(), Failure> {
    let (world, stop) = (guide.world, &guide.plan.stops[0]);
    let beyond = Answer::ALL.iter().copied().find(|answer| !stop.certificate.entitled.contains(answer));
    let beyond = beyond.ok_or("the first platform may ask everything: over-asking cannot be tried there")?;
    let pending = stop.client.begin(&wish(&[beyond], None), world.rng.as_ref());
    let push = stop.client.push(&pending, world.clock.now(), world.rng.as_ref()).map_err(|error| error.to_string())?;
    let (status, body) = send(&world.addresses.client()?, push).await?;
    let answer = stop.client.pushed(status, &body);
    guide.promise(
        format!("asking for {} beyond the entitlement never reaches the person", beyond.as_str()),
        matches!(&answer, Err(ClientError::Refused { error, .. }) if error == "invalid_scope"),
        answer.err().map_or_else(|| "the request was taken".into(), |error| error.to_string()),
    );
    Ok(())
}

async fn sessions(guide: &mut Guide<'_>, robot: &mut Robot, subs: &Subs) -> Result<(), Failure> {
    robot.lock().await.map_err(|error| error.to_string())?;
    let stop = &guide.plan.stops[0];
    let visit =
        || Visit { platform: &stop.client, wish: wish(&stop.answers, None), pair: Pair::ALL[0], password: None };
    let at = visit().arrive(guide.world, robot).await?;
    let asked = robot.open(&at.tx).await.map_err(|error| error.to_string())?;
    let locked = robot.sign_in_with(&asked, &asked.transaction.answers, None, Pair::ALL[0]).await.err();
    robot.unlock().await.map_err(|error| error.to_string())?;
    robot.end_sessions().await.map_err(|error| error.to_string())?;
    let again = visit().run(guide.world, robot).await?;
    guide.step(
        "Locks the certificate, is refused, unlocks, signs out everywhere, signs in again",
        &[
            ("the person", "that a locked certificate signs nothing".into()),
            ("nodes", "four signed statements; each row's version and head moved on".into()),
            ("the platform", format!("the same sub, and another epoch pseudonym: {}", again.token.hufu.ep)),
        ],
    );
    guide.promise(
        "a locked certificate signs nothing",
        matches!(locked, Some(WalletError::Refused(Refusal::Locked))),
        locked.map_or_else(|| "it signed".into(), |error| error.to_string()),
    );
    let held = again.token.sub == subs.first.token.sub && again.token.hufu.ep != subs.first.token.hufu.ep;
    guide.promise(
        "signing out everywhere changes the epoch pseudonym and no other",
        held,
        format!("{} then {}", subs.first.token.hufu.ep, again.token.hufu.ep),
    );
    Ok(())
}

async fn second_identity(guide: &mut Guide<'_>) -> Result<(), Failure> {
    let mut second = guide.world.robot()?;
    let outcome = guide.world.enrol(&mut second, &guide.plan.person, &guide.plan.password).await;
    let refused = matches!(outcome, Err(WalletError::Refused(Refusal::AlreadyEnrolled)));
    guide.step(
        "Somebody enrols with the same document on another device",
        &[
            ("the person", "no second identity is made; recovery is offered".into()),
            ("uniqueness", "that this tag was asked for again".into()),
        ],
    );
    guide.promise(
        "one person, one root: the same document makes no second identity",
        refused,
        outcome.err().map_or_else(|| "it was enrolled again".to_owned(), |error| error.to_string()),
    );
    Ok(())
}

/// Places where something was found, for people.
fn listed(places: &[String]) -> String {
    if places.is_empty() { "nowhere".to_owned() } else { places.join(", ") }
}

/// Searches everything every office keeps for what must not be there, in the encodings a careless writer would use.
async fn at_rest(guide: &mut Guide<'_>, robot: &Robot, subs: &Subs) -> Result<(), Failure> {
    let person = &guide.plan.person;
    let number = robot.state.number.as_ref().map(|number| number.as_str().to_owned()).unwrap_or_default();
    let identity = [person.name.as_str(), person.documents[0].number.expose(), person.phone.as_str(), &number];
    let [library, shop] = &guide.plan.stops;
    let places: Vec<&str> = [library, shop]
        .into_iter()
        .flat_map(|stop| [stop.certificate.client_id.as_str(), stop.certificate.sector_id.as_str()])
        .chain([subs.first.token.sub.as_str(), subs.second.token.sub.as_str(), subs.first.token.hufu.ep.as_str()])
        .collect();
    let mut searched = 0;
    let (mut names, mut edges) = (Vec::new(), Vec::new());
    for (office, bytes) in (guide.plan.at_rest)().await? {
        searched += bytes.len();
        names.extend(identity.iter().filter(|needle| found(&bytes, needle)).map(|_| office.clone()));
        // The registry and the front hold certificates by their nature; nobody's handle is there.
        if office.starts_with("node") || office == "uniqueness" || office == "post" || office == "registrar" {
            edges.extend(
                places.iter().filter(|needle| found(&bytes, needle)).map(|needle| format!("{needle} at {office}")),
            );
        }
    }
    guide.step(format!("What every office keeps is searched: {searched} bytes"), &[]);
    guide.promise(
        "nothing at rest names the person",
        searched > 0 && names.is_empty(),
        format!("{searched} bytes, 4 values in 4 encodings; found {}", listed(&names)),
    );
    guide.promise(
        "nothing at rest says where the person signed in",
        searched > 0 && edges.is_empty(),
        format!("{searched} bytes, {} values in 4 encodings; found {}", places.len(), listed(&edges)),
    );
    Ok(())
}

/// Whether `needle` is in `bytes`: raw, hexadecimal, base64url, and base64url shifted by one and two bytes.
#[must_use]
pub fn found(bytes: &[u8], needle: &str) -> bool {
    let raw = needle.as_bytes();
    let inner = |shift: usize| {
        let mut padded = vec![0; shift];
        padded.extend_from_slice(raw);
        let text = b64(&padded);
        // The characters at both ends also encode neighbours: only the middle is the needle's alone.
        let from = (shift * 8).div_ceil(6);
        let until = (shift + raw.len()) * 8 / 6;
        text.get(from..until).unwrap_or_default().to_owned()
    };
    let forms = [needle.to_owned(), hex(raw), inner(0), inner(1), inner(2)];
    forms.iter().filter(|form| form.len() >= 6).any(|form| contains(bytes, form.as_bytes()))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The control: a planted leak in every encoding is found.
    #[test]
    fn a_planted_leak_is_found_in_every_encoding() {
        let needle = "sunrise-library";
        for shift in 0..3 {
            let mut planted = vec![b'x'; shift];
            planted.extend_from_slice(needle.as_bytes());
            planted.extend_from_slice(b"yz");
            assert!(found(b64(&planted).as_bytes(), needle), "base64 at {shift}");
        }
        assert!(found(hex(needle.as_bytes()).as_bytes(), needle));
        assert!(found(format!("..{needle}..").as_bytes(), needle));
        assert!(!found(b"nothing to see here, move along", needle));
    }
}
