use hufu_sandbox::persons::{Status, persons};
use hufu_sandbox::register::{MatchAnswer, Mode, Register, router};
use jiff::civil::date;
use serde_json::{Value, json};
use std::time::Duration;

struct World {
    address: String,
    client: reqwest::Client,
    question: Value,
}

async fn world() -> World {
    let persons = persons(1, date(2026, 11, 22)).unwrap();
    let person = &persons[0];
    let number = &person.documents[0].number;
    World {
        address: super::serve(router(Register::new(&persons))).await,
        client: reqwest::Client::new(),
        question: json!({ "document_type": number.kind(), "number": number.expose(), "name": person.name }),
    }
}

impl World {
    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        self.client.post(format!("{}{path}", self.address)).json(body).send().await.unwrap()
    }
}

#[tokio::test]
async fn the_register_answers_match_status_and_birth_date() {
    let world = world().await;
    let answer: MatchAnswer = world.post("/match", &world.question).await.json().await.unwrap();
    assert!(answer.matches);
    assert_eq!(answer.status, Some(Status::Valid));
    let mut wrong = world.question.clone();
    wrong["name"] = "林小羽".into();
    assert_eq!(world.post("/match", &wrong).await.text().await.unwrap(), r#"{"match":false}"#);
}

#[tokio::test]
async fn an_unknown_field_or_type_is_refused() {
    let world = world().await;
    for (name, value) in [("extra", json!(1)), ("document_type", json!("foreign_passport")), ("number", json!(1))] {
        let mut body = world.question.clone();
        body[name] = value;
        assert_eq!(world.post("/match", &body).await.status(), 422, "{name}");
    }
    let mut large = world.question.clone();
    large["name"] = "林".repeat(8_000).into();
    assert_eq!(world.post("/match", &large).await.status(), 413);
}

#[tokio::test]
async fn outage_and_slowness_can_be_switched_on_and_off() {
    let world = world().await;
    assert_eq!(world.post("/sandbox/mode", &json!({ "mode": "outage" })).await.status(), 200);
    assert_eq!(world.post("/match", &world.question).await.status(), 503);

    world.post("/sandbox/mode", &serde_json::to_value(Mode::Slow { milliseconds: 60_000 }).unwrap()).await;
    let impatient = world.client.post(format!("{}/match", world.address)).json(&world.question);
    assert!(impatient.timeout(Duration::from_millis(200)).send().await.unwrap_err().is_timeout());

    world.post("/sandbox/mode", &json!({ "mode": "normal" })).await;
    assert_eq!(world.post("/match", &world.question).await.status(), 200);
    assert_eq!(world.post("/sandbox/mode", &json!({ "mode": "other" })).await.status(), 422);
}
