//! Every message that comes over a wire of ours, beginning at sound ones: what is read is written as it was understood.

use crate::mutants::{hold, samples};
use hufu_kernel::{Answer, Lang, Strength, unb64};
use hufu_wire::api::trust::Trust;
use hufu_wire::api::{enrolment, handles, holder, peer, platform, recovery, requests, sign_in};
use hufu_wire::documents::{DocumentNumber, DocumentType};
use hufu_wire::jose::strict_json;
use hufu_wire::network_number::NetworkNumber;
use hufu_wire::phone::Phone;
use hufu_wire::sd_jwt;
use hufu_wire::tls_client::DistinguishedName;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// 1 if it is a `T`, which then means the same when it is written and read again.
fn is<T: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8]) -> usize {
    let Ok(value) = strict_json::<T>(bytes) else { return 0 };
    let again = serde_json::to_vec(&value).unwrap();
    assert!(strict_json::<T>(&again).unwrap() == value, "{}", String::from_utf8_lossy(&again));
    1
}

macro_rules! kinds {
    ($($type:ty),* $(,)?) => {
        /// Of how many kinds of message it is.
        fn kinds(bytes: &[u8]) -> usize {
            [$(is::<$type>(bytes)),*].iter().sum()
        }
    };
}

kinds![
    enrolment::Ticket,
    enrolment::StartEnrolment,
    enrolment::FaceStep,
    enrolment::PhoneStep,
    enrolment::CodeStep,
    enrolment::DeviceStep,
    enrolment::ConfirmStep,
    enrolment::EnrolmentView,
    enrolment::EnrolDevice,
    enrolment::EnrolPassword,
    enrolment::NewHolder,
    enrolment::SealedHolder,
    enrolment::HolderReply,
    enrolment::Activate,
    enrolment::TagState,
    enrolment::StoreWrap,
    enrolment::StoreContact,
    recovery::RecoverStep,
    recovery::Recovery,
    recovery::RecoverRow,
    recovery::SealedRecovery,
    recovery::Notify,
    holder::Statement,
    holder::SubmitStatement,
    holder::StatementAccepted,
    holder::SubmitReports,
    holder::FinishSigning,
    holder::OpenHolder,
    holder::ReadRow,
    holder::RowView,
    holder::BeginPass,
    sign_in::Transaction,
    sign_in::EvaluatePassword,
    sign_in::BeginSignIn,
    sign_in::SignInOffer,
    sign_in::FinishSignIn,
    sign_in::CompleteSignIn,
    sign_in::RefuseSignIn,
    sign_in::IdToken,
    requests::Waiting,
    requests::LookWaiting,
    requests::Found,
    requests::ReadRequests,
    requests::PersonRequests,
    requests::CompleteWaiting,
    requests::RefuseWaiting,
    handles::AskPerson,
    peer::Acceptance,
    peer::Carried,
    peer::AskAcceptance,
    peer::AcceptanceReply,
    peer::AskPromise,
    peer::PromiseReply,
    peer::Statements,
    peer::RowReport,
    peer::Sums,
    peer::AskEntries,
    peer::Entries,
    peer::Moved,
    peer::Rows,
    handles::AskStandings,
    handles::Standings,
    platform::PlatformCertificate,
    platform::AdmittedPage,
    Trust,
];

#[test]
fn fuzz_messages() {
    hold(samples("tests/it/samples/messages"), |bytes| {
        kinds(bytes);
    });
}

#[test]
fn every_sample_is_a_message() {
    for sample in samples("tests/it/samples/messages") {
        assert!(kinds(&sample) > 0, "{}", String::from_utf8_lossy(&sample));
    }
    assert_eq!(kinds(b"{}x"), 0);
}

#[test]
fn fuzz_what_people_and_headers_say() {
    let samples = [
        "zh-CN,zh;q=0.9,en;q=0.8",
        "AAECAwQFBgc",
        "11010119900307743X",
        "+86 138 0013 8000",
        "23456789AB",
        "CN=shop,O=Shop\\, Ltd,C=CN",
        "age_over_18",
    ];
    hold(samples.iter().map(|sample| sample.as_bytes().to_vec()).collect(), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Lang::negotiate(&text);
        let _ = (text.parse::<Answer>(), text.parse::<Strength>());
        if let Some(decoded) = unb64(&text) {
            assert_eq!(hufu_kernel::b64(&decoded), text);
        }
        if let Ok(number) = NetworkNumber::parse(&text) {
            assert!(NetworkNumber::parse(number.as_str()) == Ok(number));
        }
        if let Ok(phone) = Phone::parse(&text) {
            assert!(Phone::parse(phone.as_str()) == Ok(phone));
        }
        for kind in DocumentType::ALL {
            let _ = DocumentNumber::parse(kind, &text);
        }
        let _ = DistinguishedName::parse(&text);
        let _ = sd_jwt::parse(&text);
    });
}
