/** The person changes their own row (flows 6): each takes effect when two nodes have committed it. */

import type { Holder } from "./holder.ts";
import type { Core } from "./state.ts";

export class Statements {
  /** Stops all use. */
  lock(): Promise<void>;
  /** Resumes use. */
  unlock(): Promise<void>;
  /** Ends all sessions: platforms see another epoch pseudonym at the next sign-in. */
  endSessions(): Promise<void>;
  /** A new network number, which is returned. */
  replaceNumber(): Promise<string>;
  /**
   * On a *new* device with an empty wallet: makes a passkey and a holder key, and returns a text to be brought to a device
   * that is registered (typed, pasted or scanned).
   */
  offerDevice(displayName: string): Promise<string>;
  /** On a registered device: adds the offered one, and returns a text to be brought back to it. */
  addDevice(offer: string): Promise<string>;
  /** On the new device: takes that text; from then on it is enrolled. */
  joinDevice(welcome: string): Promise<void>;
  /** Removes a device by its name in `RowView.devices[].credential`. */
  removeDevice(credential: string): Promise<void>;
  /** Leaves the service; only the tag index stays. This browser forgets everything. */
  leave(): Promise<void>;
}
