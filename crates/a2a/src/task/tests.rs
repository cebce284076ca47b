//! Stories and laws of the task machine.

use proptest::prelude::*;

use super::*;

const ALL: [TaskState; 9] = [
    TaskState::Unspecified,
    TaskState::Submitted,
    TaskState::Working,
    TaskState::Completed,
    TaskState::Failed,
    TaskState::Canceled,
    TaskState::InputRequired,
    TaskState::Rejected,
    TaskState::AuthRequired,
];

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + second)
}

fn asked() -> Task {
    let ask = message::user("m-1", vec![message::text("hi")]);
    Task::submitted("t-1".into(), "c-1".into(), ask, at(0))
}

#[test]
fn a_task_is_asked_worked_on_and_completed() {
    let mut task = asked();
    assert!(task.begin(at(1)).changed());
    let done = Finish {
        message: Some(message::agent("m-2", vec![message::text("Hello")])),
        artifacts: vec![json!({"artifactId": "a", "parts": [{"text": "out"}]})],
        ..Finish::in_state(TaskState::Completed)
    };
    assert_eq!(task.finish(done, at(2)), Step::Moved { from: TaskState::Working, to: TaskState::Completed });
    let seen = task.to_json(None);
    assert_eq!(seen["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(seen["status"]["message"]["taskId"], "t-1");
    assert_eq!(seen["history"][0]["contextId"], "c-1");
    assert!(seen["status"]["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(Task::from_json(seen, at(2)), Some(task.clone()));
    assert_eq!(task.abandon(TaskState::Canceled, None, at(3)), Step::AlreadyEnded(TaskState::Completed));
}

#[test]
fn an_artifact_in_pieces_is_one_artifact() {
    let mut task = asked();
    assert!(task.begin(at(1)).changed());
    let piece = |text: &str| json!({"artifactId": "a", "parts": [{"text": text}]});
    for text in ["one", "two", "three"] {
        assert!(task.append(piece(text)).changed());
    }
    assert!(task.append(json!({"artifactId": "b", "parts": [{"text": "other"}]})).changed());
    let seen = task.to_json(None);
    assert_eq!(seen["artifacts"][0]["parts"], json!([{"text": "one"}, {"text": "two"}, {"text": "three"}]));
    assert_eq!(seen["artifacts"].as_array().unwrap().len(), 2);
    let flood = json!({"artifactId": "a", "parts": vec![json!({"text": "x"}); MAX_PIECES]});
    assert_eq!(task.append(flood), Step::Full);
    assert!(task.abandon(TaskState::Canceled, None, at(2)).changed());
    assert_eq!(task.append(piece("late")), Step::AlreadyEnded(TaskState::Canceled));
}

#[test]
fn an_interrupted_task_goes_on_with_the_callers_answer() {
    let mut task = asked();
    assert!(task.begin(at(1)).changed());
    let question = Finish {
        message: Some(message::agent("m-2", vec![message::text("which file?")])),
        ..Finish::in_state(TaskState::InputRequired)
    };
    assert!(task.finish(question, at(2)).changed());
    assert!(!task.begin(at(3)).changed());
    assert!(task.resume(message::user("m-3", vec![message::text("this")]), at(3)).changed());
    let ids: Vec<Value> =
        task.to_json(None)["history"].as_array().unwrap().iter().map(|message| message["messageId"].clone()).collect();
    assert_eq!(ids, ["m-1", "m-2", "m-3"]);
    assert_eq!(task.to_json(Some(1))["history"][0]["messageId"], "m-3");
    assert_eq!(task.to_json(Some(0)).get("history"), None);
}

#[test]
fn fields_of_newer_versions_survive() {
    let mut task = asked();
    let mut extra = Map::new();
    extra.insert("generation".into(), json!(7));
    extra.insert("id".into(), json!("forged"));
    let done = Finish { extra, ..Finish::in_state(TaskState::Completed) };
    assert!(task.finish(done, at(1)).changed());
    assert_eq!(task.to_json(None)["generation"], 7);
    assert_eq!(task.to_json(None)["id"], "t-1");
}

#[test]
fn the_official_types_read_what_we_write() {
    let mut task = asked();
    assert!(task.begin(at(1)).changed());
    let view: crate::types::TaskView = serde_json::from_value(task.to_json(None)).unwrap();
    assert_eq!(view.status.state, TaskState::Working);
}

#[derive(Debug, Clone)]
enum Move {
    Begin,
    Resume,
    Report,
    Artifact(u8),
    Finish(usize),
    Abandon(usize),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        Just(Move::Begin),
        Just(Move::Resume),
        Just(Move::Report),
        any::<u8>().prop_map(Move::Artifact),
        (0..ALL.len()).prop_map(Move::Finish),
        (0..ALL.len()).prop_map(Move::Abandon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever is commanded: only legal steps are taken, an ended task never changes again, and a
    /// step that says "nothing changed" tells the truth.
    #[test]
    fn only_legal_steps_are_taken(script in prop::collection::vec(moves(), 0..24)) {
        let mut task = asked();
        for (n, command) in script.into_iter().enumerate() {
            let before = task.clone();
            let now = at(n as u64);
            let say = message::agent("m", vec![message::text("x")]);
            let step = match command {
                Move::Begin => task.begin(now),
                Move::Resume => task.resume(say, now),
                Move::Report => task.report(say, now),
                Move::Artifact(id) => task.artifact(json!({"artifactId": id.to_string(), "parts": []})),
                Move::Finish(to) => task.finish(Finish::in_state(ALL[to].clone()), now),
                Move::Abandon(to) => task.abandon(ALL[to].clone(), None, now),
            };
            if let Step::Moved { from, to } = &step {
                prop_assert!(is_legal(from, to));
                prop_assert_eq!(from, before.state());
                prop_assert_eq!(to, task.state());
            } else {
                prop_assert_eq!(before.state(), task.state());
            }
            if before.state().is_terminal() || !step.changed() {
                prop_assert_eq!(&before, &task);
            }
            prop_assert!(task.state() != &TaskState::Unspecified);
            prop_assert_eq!(Task::from_json(task.to_json(None), task.changed()), Some(task.clone()));
        }
    }
}
