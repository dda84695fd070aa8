//! Signing in with another device: the flow, and the attacks on it (decision 0028).

use super::fixture::*;
use hufu_kernel::{Refusal, b64};
use hufu_offices::front::{Ended, Progress, Shows};
use hufu_oidc::client::Wish;
use hufu_wire::api::sign_in::{RefuseSignIn, Transaction};

/// A browser that came from a platform and shows codes.
struct Screen {
    pending: hufu_oidc::client::Pending,
    tx: String,
    cookie: String,
}

/// A device that scanned one.
struct Phone {
    cookie: String,
    transaction: Transaction,
}

async fn screen(world: &World, rp: &hufu_oidc::client::RelyingParty) -> Screen {
    let pending = rp.begin(&Wish::default(), &*world.rng);
    let url = world.pushed(rp, &pending).await;
    let begun = world.browse(&url).await;
    Screen { pending, tx: begun.tx, cookie: begun.cookie }
}

impl Screen {
    /// The query of the code that is shown now.
    fn code(&self, world: &World) -> String {
        let told = world.front.elsewhere(&self.tx, &[&self.cookie]).unwrap();
        assert_eq!(told.progress, Progress::Showing);
        let scan = told.scan.unwrap();
        scan.strip_prefix(&format!("{ISSUER}/elsewhere/scanned?")).unwrap().to_owned()
    }

    fn progress(&self, world: &World) -> Progress {
        world.front.elsewhere_now(&self.tx, &[&self.cookie]).unwrap().progress
    }

    async fn number(&self, world: &World, typed: &str) -> Result<Option<String>, Refusal> {
        let done = world.front.number(&self.tx, typed, &[&self.cookie]).await?;
        Ok(done.map(|next| next.redirect_to))
    }
}

fn scan(world: &World, code: &str) -> Result<Phone, Refusal> {
    let reply = world.front.scanned(code, &[])?;
    assert_eq!(reply.status, 303);
    let location = reply.header("location").unwrap();
    let tx = location.strip_prefix(&format!("{WALLET}/sign-in?tx=")).unwrap().split('&').next().unwrap().to_owned();
    assert!(location.contains("scanned=1"));
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    Ok(Phone { cookie, transaction: world.fetch(&tx) })
}

impl Phone {
    async fn agree(&self, world: &World) -> Result<String, Refusal> {
        let next = world.front.complete(&world.answer(&self.transaction), &[&self.cookie]).await?;
        let tx = b64(self.transaction.tx.as_slice());
        assert_eq!(
            next.redirect_to,
            format!("{ISSUER}/elsewhere/number?tx={tx}"),
            "no code, and no way to the platform"
        );
        Ok(self.number(world))
    }

    fn shows(&self, world: &World) -> Result<Shows, Refusal> {
        let tx = b64(self.transaction.tx.as_slice());
        world.front.on_device(&tx, &[&self.cookie]).map(|told| told.shows)
    }

    fn number(&self, world: &World) -> String {
        match self.shows(world) {
            Ok(Shows::Number(number)) => number,
            other => panic!("{other:?}"),
        }
    }
}

fn another(number: &str) -> String {
    number.chars().map(|c| if c == '0' { '1' } else { '0' }).collect()
}

#[tokio::test]
async fn a_person_signs_in_on_a_screen_with_the_phone() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let phone = scan(&world, &screen.code(&world)).unwrap();
    assert!(phone.transaction.elsewhere, "the wallet is told, to warn its person");
    assert_eq!(screen.progress(&world), Progress::Scanned);
    let number = phone.agree(&world).await.unwrap();
    assert_eq!(screen.progress(&world), Progress::Agreed { tries: 3 });
    let to = screen.number(&world, &number).await.unwrap().unwrap();
    let code = shop.callback(&screen.pending, query(&to)).unwrap();
    let reply = world.send(&world.token_request(&shop, &screen.pending, &code)).await;
    let signed_in = shop.redeemed(&screen.pending, reply.status, &reply.body, world.now()).unwrap();
    assert!(signed_in.token.sub.contains("shop"));
    // And nothing is left of it on either side.
    assert_eq!(screen.number(&world, &number).await, Err(Refusal::TransactionGone));
    assert_eq!(phone.shows(&world), Err(Refusal::TransactionGone));
}

/// The browser that began goes on by itself as long as nobody has scanned.
#[tokio::test]
async fn showing_a_code_takes_nothing_from_the_browser_that_began() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let _ = screen.code(&world);
    let transaction = world.fetch(&screen.tx);
    assert!(!transaction.elsewhere);
    let next = world.front.complete(&world.answer(&transaction), &[&screen.cookie]).await.unwrap();
    assert!(shop.callback(&screen.pending, query(&next.redirect_to)).is_ok());
}

/// An attacker shows a victim the code of his own browser. What the victim's agreement gives him is nothing: the number is on the
/// victim's device, and the victim would have to hand it over.
#[tokio::test]
async fn a_relayed_code_gives_the_attacker_nothing_without_the_victims_number() {
    let world = World::new();
    let shop = world.fapi("shop");
    let attacker = screen(&world, &shop).await;
    let victim = scan(&world, &attacker.code(&world)).unwrap();
    let number = victim.agree(&world).await.unwrap();
    for typed in ["", "0", &another(&number), &format!("{number}0")] {
        assert!(!matches!(attacker.number(&world, typed).await, Ok(Some(_))), "{typed}");
    }
    // Nor does his browser read it anywhere.
    assert_eq!(world.front.on_device(&attacker.tx, &[&attacker.cookie]).err(), Some(Refusal::TransactionCookie));
}

#[tokio::test]
async fn a_code_that_is_older_than_three_seconds_or_of_the_future_is_refused() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let code = screen.code(&world);
    world.clock.advance(4);
    assert_eq!(scan(&world, &code).err(), Some(Refusal::ScanStale));
    world.clock.advance(-5);
    assert_eq!(scan(&world, &code).err(), Some(Refusal::ScanStale));
    world.clock.advance(4);
    assert!(scan(&world, &code).is_ok(), "after three seconds it is still good");
    // One that was made fresh by whoever photographed it is none of ours.
    let other = self::screen(&world, &shop).await;
    let old = other.code(&world);
    world.clock.advance(10);
    let fresh = with_parameter(&old, "t", Some(&world.now().0.to_string()));
    assert_eq!(scan(&world, &fresh).err(), Some(Refusal::TransactionGone));
    assert_eq!(scan(&world, &old).err(), Some(Refusal::ScanStale));
}

#[tokio::test]
async fn a_code_that_two_devices_open_is_given_to_one() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let code = screen.code(&world);
    let first = scan(&world, &code).unwrap();
    assert_eq!(scan(&world, &code).err(), Some(Refusal::TransactionGone));
    // Nor is there another code, or another copy of the transaction.
    let again = world.front.elsewhere(&screen.tx, &[&screen.cookie]).unwrap();
    assert_eq!((again.progress, again.scan), (Progress::Scanned, None));
    assert_eq!(world.front.transaction(&screen.tx).err(), Some(Refusal::TransactionGone));
    assert!(first.agree(&world).await.is_ok());
}

/// Whoever sees a code once, fresh or stale, has nothing that the front serves a transaction for: else a glance at a screen would use up
/// the one copy of it, and the sign-in would be broken for ten minutes.
#[tokio::test]
async fn an_onlooker_with_a_code_cannot_fetch_the_transaction() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let told = |code: &str| {
        assert!(!code.contains(&screen.tx), "the transaction's name stands in no code: {code}");
        for (_, value) in code.split('&').filter_map(|pair| pair.split_once('=')) {
            assert!(world.front.transaction(value).is_err(), "{value}");
            assert!(world.front.elsewhere(value, &[&screen.cookie]).is_err(), "{value}");
        }
    };
    let stale = screen.code(&world);
    told(&stale);
    world.clock.advance(10);
    told(&stale);
    let fresh = screen.code(&world);
    told(&fresh);
    let phone = scan(&world, &fresh).unwrap();
    told(&fresh);
    assert!(phone.transaction.elsewhere, "the control: the device that scanned is served");
    assert!(phone.agree(&world).await.is_ok());
}

/// What an old showing's codes went by opens nothing that is shown later.
#[tokio::test]
async fn a_new_showing_goes_by_another_name() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let name = |code: &str| code.split('&').next().unwrap().to_owned();
    let (first, same) = (screen.code(&world), screen.code(&world));
    assert_eq!(name(&first), name(&same), "a page that is loaded again spoils no code");
    world.clock.advance(60);
    assert_eq!(screen.progress(&world), Progress::Hidden);
    let second = screen.code(&world);
    assert_ne!(name(&first), name(&second));
    assert_eq!(scan(&world, &first).err(), Some(Refusal::ScanStale));
    assert!(scan(&world, &second).is_ok());
}

#[tokio::test]
async fn codes_are_shown_for_a_minute_and_again_when_asked() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    assert_eq!(screen.progress(&world), Progress::Hidden, "none before one is asked for");
    let _ = screen.code(&world);
    world.clock.advance(59);
    assert_eq!(screen.progress(&world), Progress::Showing);
    world.clock.advance(1);
    let told = world.front.elsewhere_now(&screen.tx, &[&screen.cookie]).unwrap();
    assert_eq!((told.progress, told.scan), (Progress::Hidden, None));
    assert!(scan(&world, &screen.code(&world)).is_ok());
}

#[tokio::test]
async fn the_number_is_guessed_three_times_and_then_the_sign_in_is_over() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let phone = scan(&world, &screen.code(&world)).unwrap();
    let number = phone.agree(&world).await.unwrap();
    for left in [2, 1] {
        assert_eq!(screen.number(&world, &another(&number)).await, Ok(None));
        assert_eq!(screen.progress(&world), Progress::Agreed { tries: left });
    }
    assert_eq!(screen.number(&world, &another(&number)).await, Ok(None));
    assert_eq!(screen.progress(&world), Progress::Ended(Ended::Guessed));
    assert_eq!(screen.number(&world, &number).await, Err(Refusal::TransactionGone), "the right one comes too late");
    assert_eq!(phone.shows(&world), Ok(Shows::Ended(Ended::Guessed)));
}

#[tokio::test]
async fn the_number_is_worth_nothing_after_two_minutes() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let phone = scan(&world, &screen.code(&world)).unwrap();
    let number = phone.agree(&world).await.unwrap();
    world.clock.advance(120);
    assert_eq!(screen.number(&world, &number).await, Err(Refusal::TransactionGone));
    assert_eq!(screen.progress(&world), Progress::Ended(Ended::Late));
}

#[tokio::test]
async fn another_browser_neither_sees_the_codes_nor_brings_the_number() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (screen, stranger) = (screen(&world, &shop).await, self::screen(&world, &shop).await);
    for cookies in [&[][..], &[stranger.cookie.as_str()], &["hufu-front-tx="]] {
        assert_eq!(world.front.elsewhere(&screen.tx, cookies).err(), Some(Refusal::TransactionCookie));
        assert_eq!(world.front.elsewhere_now(&screen.tx, cookies).err(), Some(Refusal::TransactionCookie));
        assert_eq!(world.front.give_up(&screen.tx, cookies).await, Err(Refusal::TransactionCookie));
    }
    let phone = scan(&world, &screen.code(&world)).unwrap();
    let number = phone.agree(&world).await.unwrap();
    for cookies in [&[][..], &[stranger.cookie.as_str()], &[phone.cookie.as_str()]] {
        assert_eq!(world.front.number(&screen.tx, &number, cookies).await, Err(Refusal::TransactionCookie));
    }
    assert_eq!(screen.progress(&world), Progress::Agreed { tries: 3 }, "strangers use no tries up");
    assert!(screen.number(&world, &number).await.unwrap().is_some());
}

/// Session fixation: whoever plants a transaction or a cookie in a victim's browser has not the other one, and a victim who scans gets a
/// secret that was drawn for this device.
#[tokio::test]
async fn a_planted_transaction_or_cookie_does_not_complete_what_another_device_took() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (screen, other) = (screen(&world, &shop).await, self::screen(&world, &shop).await);
    let planted = format!("hufu-front-tx={}", "A".repeat(43));
    let reply = world.front.scanned(&screen.code(&world), &[&planted]).unwrap();
    let given = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(!given.starts_with(&planted), "the secret is new, whatever was there");
    let transaction = world.fetch(&screen.tx);
    let answer = world.answer(&transaction);
    for cookies in [&[][..], &[planted.as_str()], &[other.cookie.as_str()]] {
        assert_eq!(world.front.complete(&answer, cookies).await, Err(Refusal::TransactionCookie), "{cookies:?}");
    }
    assert!(world.front.complete(&answer, &[&given]).await.is_ok());
}

#[tokio::test]
async fn completing_needs_the_scan_and_the_first_browser_cannot_any_more() {
    let world = World::new();
    let shop = world.fapi("shop");
    let (screen, other) = (screen(&world, &shop).await, self::screen(&world, &shop).await);
    // Without having scanned: a phone that took another transaction.
    let stranger = scan(&world, &other.code(&world)).unwrap();
    let transaction = world.fetch(&screen.tx);
    let answer = world.answer(&transaction);
    assert_eq!(world.front.complete(&answer, &[&stranger.cookie]).await, Err(Refusal::TransactionCookie));
    let phone = scan(&world, &screen.code(&world)).unwrap();
    // The browser that began has it no more, nor may it refuse in the phone's name.
    assert_eq!(world.front.complete(&answer, &[&screen.cookie]).await, Err(Refusal::TransactionCookie));
    let refusal = RefuseSignIn { tx: transaction.tx };
    assert_eq!(world.front.refuse(&refusal, &[&screen.cookie]).await, Err(Refusal::TransactionCookie));
    assert_eq!(world.front.complete(&answer, &[&stranger.cookie]).await, Err(Refusal::TransactionCookie));
    let number = phone.agree(&world).await.unwrap();
    assert_eq!(phone.agree(&world).await, Err(Refusal::TransactionGone), "agreed once");
    assert!(screen.number(&world, &number).await.unwrap().is_some());
}

#[tokio::test]
async fn after_a_refusal_on_the_phone_the_first_browser_hears_of_it_and_goes_back() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let phone = scan(&world, &screen.code(&world)).unwrap();
    let refusal = RefuseSignIn { tx: phone.transaction.tx };
    assert!(world.front.refuse(&refusal, &[&phone.cookie]).await.unwrap().redirect_to.starts_with(ISSUER));
    assert_eq!(phone.shows(&world), Ok(Shows::Ended(Ended::Refused)));
    assert_eq!(screen.progress(&world), Progress::Ended(Ended::Refused));
    let answer = world.answer(&phone.transaction);
    assert_eq!(world.front.complete(&answer, &[&phone.cookie]).await, Err(Refusal::TransactionGone));
    assert_eq!(world.front.complete(&answer, &[&screen.cookie]).await, Err(Refusal::TransactionGone));
    assert_eq!(screen.number(&world, "12345678").await, Err(Refusal::TransactionGone));
    let back = world.front.give_up(&screen.tx, &[&screen.cookie]).await.unwrap();
    assert!(back.redirect_to.contains("error=access_denied"), "{}", back.redirect_to);
    assert_eq!(world.front.elsewhere(&screen.tx, &[&screen.cookie]).err(), Some(Refusal::TransactionGone));
}

#[tokio::test]
async fn who_gives_up_takes_it_from_the_phone_too() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let phone = scan(&world, &screen.code(&world)).unwrap();
    assert!(world.front.give_up(&screen.tx, &[&screen.cookie]).await.is_ok());
    assert_eq!(phone.agree(&world).await, Err(Refusal::TransactionGone));
}

#[tokio::test]
async fn a_result_on_the_phone_is_checked_as_everywhere() {
    let world = World::new();
    let shop = world.fapi("shop");
    let screen = screen(&world, &shop).await;
    let phone = scan(&world, &screen.code(&world)).unwrap();
    let forged = world.answer_with(&phone.transaction, |token| token.aud = "bank".into());
    assert_eq!(world.front.complete(&forged, &[&phone.cookie]).await, Err(Refusal::TokenRejected));
    assert_eq!(screen.progress(&world), Progress::Scanned);
    assert!(phone.agree(&world).await.is_ok());
}

#[tokio::test]
async fn a_request_uri_that_is_loaded_again_takes_the_codes_with_it() {
    let world = World::new();
    let shop = world.fapi("shop");
    let pending = shop.begin(&Wish::default(), &*world.rng);
    let url = world.pushed(&shop, &pending).await;
    let begun = world.browse(&url).await;
    let first = Screen { pending, tx: begun.tx, cookie: begun.cookie };
    let code = first.code(&world);
    let _ = world.browse(&url).await;
    assert_eq!(scan(&world, &code).err(), Some(Refusal::TransactionGone));
}
