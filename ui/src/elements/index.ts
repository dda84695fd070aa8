/** The elements of the wallet's pages. */

import "./act.ts";
import "./activity.ts";
import "./card.ts";
import "./consent.ts";
import "./devices.ts";
import "./enrol.ts";
import "./hold.ts";
import "./requests.ts";
import "./verify.ts";
