//! From what the rules say to a verdict.

use super::{Cleared, Refusal, Verdict};
use crate::policy::{Evaluation, Outcome};
use crate::smtp::reply::{Enhanced, Reply};

/// The verdict of an evaluation that is final for its stage. `group` is the recipient's policy
/// group; `finish` adds to a refusal's text what every refusal ends with.
pub fn decide(evaluation: &Evaluation, group: u64, finish: impl FnOnce(&mut Reply)) -> Verdict {
    match &evaluation.outcome {
        Outcome::Pass | Outcome::Accept { .. } => Verdict::Pass { cleared: Cleared::new(), group },
        Outcome::Refuse { code, subject, detail, text, .. } => {
            let mut reply = Reply::new(*code, Enhanced::new(*subject, *detail), text);
            finish(&mut reply);
            Verdict::Refuse(Refusal { close: reply.code() == 421, reply })
        }
    }
}

/// The refusal for a reason of our own that was found while judging, such as a full spool.
pub fn refuse(reply: Reply) -> Verdict {
    Verdict::Refuse(Refusal { close: reply.code() == 421, reply })
}
