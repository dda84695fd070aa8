//! Every refusal the service gives, in one table: a stable code, whose fault it is, and what to do.

use crate::Lang;
use serde::{Deserialize, Serialize};

/// Whose move it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The person can mend it.
    Person,
    /// The platform's engineers can mend it.
    Platform,
    /// The calling code (wallet, office or script) is wrong or has been tampered with.
    Caller,
    /// We, or a part of us that is down.
    Service,
}

/// The texts of one refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusalText {
    /// Stable, for programs.
    pub code: &'static str,
    /// Whose move it is.
    pub blame: Blame,
    /// The HTTP status of our own endpoints.
    pub status: u16,
    /// For the person, in Chinese.
    pub zh: &'static str,
    /// For the person, in English.
    pub en: &'static str,
    /// For the engineer: the rule, and where it stands.
    pub developer: &'static str,
}

macro_rules! refusals {
    ($($name:ident $code:literal $blame:ident $status:literal
        zh $zh:literal
        en $en:literal
        dev $dev:literal;)*) => {
        /// A refusal. Nothing about a person or a platform is ever carried along: the code says all.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum Refusal {
            $(#[doc = $dev] #[serde(rename = $code)] $name,)*
        }

        impl Refusal {
            /// All of them, in the order of the errors page.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The texts.
            #[must_use]
            pub fn text(self) -> RefusalText {
                match self {
                    $(Self::$name => RefusalText { code: $code, blame: Blame::$blame, status: $status, zh: $zh, en: $en, developer: $dev },)*
                }
            }
        }
    };
}

refusals! {
    // -- requests of any kind
    Malformed "malformed" Caller 400
        zh "请求无法识别。请返回上一页重试。"
        en "The request could not be read. Go back and try again."
        dev "The body or a field does not parse: JSON of the documented shape, byte strings in base64url without padding, no unknown fields.";
    TooLarge "too_large" Caller 413
        zh "请求过大。"
        en "The request is too large."
        dev "The body is above the limit of this endpoint (64 KiB unless documented otherwise).";
    NotFound "not_found" Caller 404
        zh "找不到该页面或记录。"
        en "There is no such page or record."
        dev "No route, transaction or record answers to this address.";
    TooMany "too_many" Caller 429
        zh "操作太频繁，请稍后再试。"
        en "Too many attempts. Wait a little and try again."
        dev "A rate limit was reached; the Retry-After header says how long to wait.";
    Busy "busy" Service 503
        zh "系统繁忙，您的操作没有生效，请稍后再试。"
        en "We are busy and nothing was changed. Try again in a moment."
        dev "A store reported a conflict several times in a row, or a queue is full. Nothing was committed; repeat the request.";
    Internal "internal" Service 500
        zh "系统出现问题，您的操作没有完成。请稍后再试，或联系客服并提供错误编号。"
        en "Something went wrong on our side. Try again later, or contact help with the error number."
        dev "An unexpected failure; the office's log holds the cause under the error id.";
    StoreUnavailable "store_unavailable" Service 503
        zh "系统暂时无法保存资料，您的操作可能没有生效。请稍后再试。"
        en "We cannot store anything right now, so this may not have been done. Try again later."
        dev "The office's own database does not answer, cannot write (disk full, read-only, failing) or is damaged: /readyz of that office says which. Repeat the request; what was applied already is recognised.";
    ClockOff "clock_off" Service 503
        zh "我们的一台服务器时间不准，暂停受理。请稍后再试。"
        en "One of our servers has the wrong time and takes nothing right now. Try again later."
        dev "The office's clock differs by more than 30 s from those of most offices that it reaches; its /readyz says by how much. Nothing was changed; the other nodes go on.";
    NodesUnavailable "nodes_unavailable" Service 503
        zh "认证服务暂时不可用，没有任何更改。请稍后再试。"
        en "The authentication service is unavailable right now. Nothing was changed. Try again later."
        dev "Fewer than two of the three nodes (or taggers) answered. Every result, enrolment and change needs two.";

    // -- device assertions (flows 4)
    AssertionInvalid "assertion_invalid" Caller 401
        zh "设备验证没有通过，请重试。"
        en "Your device could not be verified. Try again."
        dev "The device assertion fails a check of WebAuthn Level 3 section 7.2: type, challenge, origin, rpIdHash, flags or signature.";
    ChallengeMismatch "challenge_mismatch" Caller 401
        zh "设备签名的内容与请求不一致，请重新开始。"
        en "What your device signed is not what was asked. Start again."
        dev "The node recomputes the challenge of flows 4 from label, level, sector, ctx, strength and t; the signed challenge differs.";
    StaleTime "stale_time" Person 401
        zh "设备时间与标准时间相差过大，请校准时间后重试。"
        en "Your device's clock is off. Set the time automatically and try again."
        dev "t or iat is more than 60 s away from the node's clock.";
    UnknownDevice "unknown_device" Person 401
        zh "此设备未登记。请使用已登记的设备，或办理找回。"
        en "This device is not registered. Use a registered device, or recover your account."
        dev "No active row holds this credential id.";
    Replayed "replayed" Caller 409
        zh "该请求已经使用过，请重新开始。"
        en "This request was already used. Start again."
        dev "A one-time value (transaction, code, jti, password evaluation) was presented twice.";
    PasswordWrong "password_wrong" Person 401
        zh "口令不正确。"
        en "The password is not correct."
        dev "The signature under the password key does not verify against the row's public half.";
    PasswordBlocked "password_blocked" Person 429
        zh "口令错误次数过多，请一小时后再试。"
        en "Too many wrong passwords. Wait an hour and try again."
        dev "Failures are counted per handle in the node's row; five in a row block password evaluations for an hour. Sign-in without password goes on.";

    // -- state of the person's row
    Locked "locked" Person 403
        zh "您已锁定网证。解锁后才能使用。"
        en "You locked your certificate. Unlock it to use it."
        dev "The row's status is locked by the holder; lock, recover and veto are accepted from any device in use, unlock, leave and the removal of a device from the one that locked or came by recovery.";
    LockedElsewhere "locked_elsewhere" Person 403
        zh "网证由另一台设备锁定。请用那台设备解锁；那台设备不在了，请办理找回。"
        en "Another device locked your certificate. Unlock it there; if that device is gone, recover."
        dev "While a row is locked, only the device that locked it or one that came by recovery may unlock, remove devices or leave.";
    Suspended "suspended" Person 403
        zh "网证已被暂停，理由和申诉方式见通知。"
        en "Your certificate is suspended. The notice says why and how to appeal."
        dev "The row's status is suspended by two approvers.";
    NotActive "not_active" Caller 409
        zh "登记尚未完成。"
        en "Your enrolment is not complete yet."
        dev "The row is pending: uniqueness has not confirmed the enrolment.";
    VersionConflict "version_conflict" Caller 409
        zh "您的资料刚被另一台设备修改，请刷新后重试。"
        en "Another device has just changed your record. Refresh and try again."
        dev "The statement names a previous version or head that is not the row's current one (flows 6).";
    NodesDisagree "nodes_disagree" Service 503
        zh "认证节点正在同步，请稍后再试。"
        en "The authentication nodes are catching up. Try again in a moment."
        dev "The two nodes' (version, status, epoch) differ; neither signs until the older has caught up (flows 6).";
    SignatureRefused "signature_refused" Service 502
        zh "认证节点的计算结果不可信，已拒绝。请稍后再试。"
        en "An authentication node gave a result that does not check out, so it was refused. Try again later."
        dev "A partial evaluation's DLEQ proof, a FROST share or a reported commitment does not verify: one node is faulty or lying.";
    SessionGone "session_gone" Caller 410
        zh "本次签名已超时，请重新开始。"
        en "This signing round timed out. Start again."
        dev "Signing nonces live 10 s in one process's memory and are removed before use (flows 6); begin again with round 1.";
    HolderKeyRefused "holder_key_refused" Caller 401
        zh "请先用设备验证身份。"
        en "Confirm with your device first."
        dev "A holder key may act for 15 minutes after a device assertion on the same device, and only for label pass and reads of one's own row.";
    LastDevice "last_device" Person 409
        zh "这是您唯一的设备，不能移除。请先添加另一台设备。"
        en "This is your only device. Add another before removing it."
        dev "remove-device would leave the row without an active device.";
    TooManyDevices "too_many_devices" Person 409
        zh "设备数量已达上限，请先移除不用的设备。"
        en "You have as many devices as are allowed. Remove one you no longer use first."
        dev "A row holds at most 16 devices; remove-device makes room.";
    VetoPeriod "veto_period" Person 409
        zh "新设备仍在等待期内，到期后生效。"
        en "The new device is still in its waiting period."
        dev "A device added by recovery becomes active after the delay in rules/recovery.toml; until then the old device may veto.";

    // -- enrolment (flows 5, domain 1.3)
    NotConfirmed "details_not_confirmed" Person 422
        zh "无法确认您填写的信息。请核对证件信息后重试，或前往服务网点办理。"
        en "We could not confirm these details. Check them against your document and try again, or visit a counter."
        dev "One answer for every cause before face and phone have passed, in one time class: enrolment is no oracle on other people.";
    DocumentNumber "document_number" Person 422
        zh "证件号码格式不正确，请核对。"
        en "The document number is not valid. Check it."
        dev "The number fails the syntax or check digit of its type (GB 11643, GA 704, ICAO 9303).";
    PhoneNumber "phone_number" Person 422
        zh "手机号码格式不正确。"
        en "The phone number is not valid."
        dev "A mainland mobile number: 11 digits starting with 1, spaces and +86 accepted.";
    PhoneCode "phone_code" Person 422
        zh "验证码不正确，请重新输入。"
        en "That code is not correct. Enter it again."
        dev "Six digits; spaces accepted; any code sent in the last 15 minutes for this enrolment is accepted.";
    PhoneCodeExpired "phone_code_expired" Person 422
        zh "验证码已过期，请重新获取。"
        en "That code has expired. Ask for a new one."
        dev "The code was right but older than 15 minutes.";
    PhoneCodeTries "phone_code_tries" Person 429
        zh "验证码错误次数过多，请重新获取。"
        en "Too many wrong codes. Ask for a new one."
        dev "Five wrong tries end a code.";
    MessageDown "message_down" Service 503
        zh "短信暂时无法发送，请稍后再试。"
        en "The text message could not be sent. Try again in a moment."
        dev "The provider of short messages did not answer in time or refused; the enrolment stays where it was.";
    GuardianNeeded "guardian_needed" Person 403
        zh "未满十四周岁须由监护人代为申请。"
        en "A guardian must apply for a child under 14."
        dev "Order 173 article 4: under 14 the guardian applies on the child's behalf.";
    ForeignPassport "foreign_passport" Person 403
        zh "暂不支持外国护照。持外国人永久居留身份证可以申请。"
        en "Foreign passports cannot be used. A permanent residence card can."
        dev "Seven document types are accepted (domain 1.3); foreign passports are not among them.";
    DocumentExpired "document_expired" Person 403
        zh "证件已过有效期，请换领后再申请。"
        en "The document has expired. Renew it and apply again."
        dev "The register says that the document's validity has ended.";
    Deceased "not_eligible" Person 403
        zh "登记信息显示无法办理，请前往服务网点核实。"
        en "The register does not allow this enrolment. Visit a counter to have it checked."
        dev "The register marks the holder as deceased; fails closed.";
    AlreadyEnrolled "already_enrolled" Person 409
        zh "您已有网号。可以在新设备上找回，不会产生第二个身份。"
        en "You already have a network number. You can recover it on this device; no second identity is made."
        dev "The tag index knows this document; continue with recovery.";
    NotEnrolled "not_enrolled" Person 409
        zh "您还没有网号，无需找回，请继续登记。"
        en "You have no network number to recover. Go on with enrolment."
        dev "Recovery asks for a person whom the tag index knows; /v1/enrol/device is the step for everybody else.";
    EnrolmentGone "enrolment_gone" Person 410
        zh "本次登记已过期，请重新开始。填写的信息没有保留。"
        en "This enrolment has expired. Start again; nothing you entered was kept."
        dev "No enrolment of this id, or its key does not open the draft, or it expired.";
    EnrolmentOrder "enrolment_order" Caller 409
        zh "请按页面顺序完成登记。"
        en "Complete the enrolment steps in order."
        dev "The step is not allowed from the enrolment's present state.";
    RegisterDown "register_down" Service 503
        zh "核验系统暂时不可用，您填写的信息没有保留，请稍后重新开始。"
        en "The register is unavailable and nothing you entered was kept. Begin again later."
        dev "The identity source did not answer in time. It is asked at start, before anything is stored: there is no enrolment to go on with.";
    WeakPassword "weak_password" Person 422
        zh "口令过于简单：请避免连续、重复数字或生日。"
        en "That password is too easy: avoid sequences, repeats and birth dates."
        dev "The rule runs in the wallet (design 2): 8 digits, no run, no repeat, no date.";

    // -- platforms (design 7)
    PlatformUnknown "platform_unknown" Platform 400
        zh "该平台未登记。"
        en "This platform is not registered."
        dev "No certificate signed by the registry for this client_id, or it has expired.";
    PlatformRequest "platform_request" Platform 400
        zh "平台的请求有误，您的信息没有提供给平台。"
        en "The platform's request is not valid. Nothing was shared."
        dev "The request does not match the platform's certificate: redirect_uri, purpose or profile.";
    OverAsking "over_asking" Platform 400
        zh "平台索取的内容超出许可范围，已拒绝。您的信息没有提供给平台。"
        en "The platform asked for more than it may. Refused; nothing was shared."
        dev "An answer asked for is not among the certificate's entitled answers; it never reaches the consent page.";
    TransactionGone "transaction_gone" Person 410
        zh "本次登录已过期或已完成，请回到平台重新开始。"
        en "This sign-in has expired or is already done. Go back to the platform and start again."
        dev "Transactions live 10 minutes in the front's memory and are used once.";
    TransactionCookie "transaction_cookie" Person 403
        zh "请在发起登录的同一浏览器中完成登录。"
        en "Finish signing in with the browser you started in."
        dev "The transaction cookie is missing or belongs to another transaction: the answer must come from the browser that began.";
    ScanStale "scan_stale" Person 410
        zh "这个二维码已过时。请重新扫描屏幕上现在显示的二维码，并立即打开。"
        en "That code is too old. Scan the one that is on the screen now, and open it at once."
        dev "A code for another device is worth something for three seconds (decision 0028); the one that was opened is older, or of the future.";
    ForeignOrigin "foreign_origin" Caller 403
        zh "请求来自其他网站，已拒绝。请回到平台重新开始。"
        en "The request came from another website and was refused. Go back to the platform and start again."
        dev "The Origin header names neither the wallet nor (in the sandbox) a persona agent. A page with Referrer-Policy no-referrer posts Origin: null; use same-origin or strict-origin there.";
    TokenRejected "token_rejected" Caller 400
        zh "认证结果不可信，已拒绝。请重新开始。"
        en "The authentication result does not check out and was refused. Start again."
        dev "The ID token's signature, iss, aud, nonce, exp or ctx does not match the transaction.";

    // -- offices among themselves
    OfficeRefused "office_refused" Caller 403
        zh "内部请求被拒绝。"
        en "An internal request was refused."
        dev "A message between offices carries no valid signature of the office it names, exceeds that office's quota, or came from an office that may not ask this.";
    OfficeUnreachable "office_unreachable" Service 503
        zh "服务的一个部门暂时没有应答，请稍后再试。"
        en "A part of our service is not answering. Try again in a moment."
        dev "Another office could not be connected to, did not prove its name, or did not answer in time; the asking office's log names it. Messages between offices are idempotent: repeat the request.";
    OfficeGarbled "office_garbled" Service 502
        zh "服务的一个部门应答有误，请稍后再试。"
        en "A part of our service gave an answer that could not be read. Try again later."
        dev "Another office answered with something that is neither the documented answer nor a refusal of this table, or with more than is accepted; the asking office's log names it. The two may run different versions.";
    WrongRoot "wrong_root" Caller 403
        zh "沙箱与正式环境不能混用。"
        en "Sandbox and production do not mix."
        dev "A store, key or certificate of the other trust root.";
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.text().code
    }

    /// The sentence for the person.
    #[must_use]
    pub fn sentence(self, lang: Lang) -> &'static str {
        match lang {
            Lang::ZhHans => self.text().zh,
            Lang::En => self.text().en,
        }
    }

    /// The refusal with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.code() == code)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code(), self.text().en)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_found_again() {
        let codes: BTreeSet<_> = Refusal::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_code(refusal.code()), Some(*refusal));
        }
    }

    #[test]
    fn both_languages_speak_whole_sentences() {
        for refusal in Refusal::ALL {
            let text = refusal.text();
            assert!(text.zh.ends_with('。'), "{}", text.code);
            assert!(text.en.ends_with('.'), "{}", text.code);
            assert!(text.developer.len() > 20, "{}", text.code);
        }
    }
}
