/** The wallet's core, as pages use it. */

export { Wallet, type Export, type Status } from "./wallet.ts";
export { type Details, Enrolment } from "./enrolment.ts";
export { type Agreed, type Asked, CIBA_GRANT, SignIn } from "./sign_in.ts";
export { Requests } from "./requests.ts";
export { Certificates, type CopyView } from "./certificate.ts";
export { deviceOfferCode, Statements } from "./statements.ts";
export type { ReceiptView } from "./receipts.ts";
export type { Offices } from "./api.ts";
export type { Environment } from "./environment.ts";
export type { Database } from "./database.ts";
export type { Passkeys } from "./webauthn.ts";
export {
  type Bilingual, DeviceError, type DeviceReason, isAboutOneNode, NotNow, Refused, Unreachable, Untrusted, WalletError,
} from "./error.ts";
export { checkPassword, type PasswordRefusal } from "./password.ts";
export { grouped, maskedNumber, parseNumber } from "./network_number.ts";
export { type Pass, verifyPass } from "./pass.ts";
export * from "./words.ts";
export type {
  Answers, Consent, DeviceRecord, EnrolmentView, IdToken, PersonRequest, PlatformCertificate, RowView, Transaction, Trust, Waiting,
} from "./wire.ts";
