//! What a platform needs of somebody later: the two nodes of a subject handle are asked whether sessions still last, each time, and nothing
//! of the answer is kept (flows 9).

use super::{Admitted, Front, plainly};
use hufu_kernel::{NodeIndex, Refusal};
use hufu_oidc::provider::{self, Call, Client, Clients, Environment, RefreshToken, SealedKind};
use hufu_oidc::{Challenge, OAuthError, Reply};
use hufu_wire::api::handles::{AskStandings, PersonStanding};
use hufu_wire::subject_handle::{HandleHalf, HandleUse, SubjectHandle};
use std::sync::Arc;

/// What the two nodes of a handle say, the lower first; `None` of one that does not open it.
pub(super) type Said = [Option<PersonStanding>; 2];

impl Front {
    /// Renews an access token.
    pub(super) async fn renew(&self, env: &Environment<'_>, call: &Call<'_>) -> Result<Reply, (OAuthError, Challenge)> {
        let renewed = self.of_caller(env, call, |client| provider::refresh(env, call, client)).await?;
        self.use_once(&renewed.fresh, env.now).await.map_err(plainly)?;
        if !self.is_live(&renewed.access_token, env.now).await.map_err(plainly)? {
            return Err(plainly(OAuthError::RefreshUnknown));
        }
        if !self.lasts(&renewed.token).await.map_err(plainly)? {
            return Err(plainly(OAuthError::RefreshEnded));
        }
        let reply = renewed.reply(&self.seal(SealedKind::AccessToken, "", &renewed.access_token)?);
        Ok(self.with_next_nonce(reply, renewed.by_nonce, env.now))
    }

    /// A token with which a platform manages what is its own.
    pub(super) async fn grant(&self, env: &Environment<'_>, call: &Call<'_>) -> Result<Reply, (OAuthError, Challenge)> {
        let granted = self.of_caller(env, call, |client| provider::client_credentials(env, call, client)).await?;
        self.use_once(&granted.fresh, env.now).await.map_err(plainly)?;
        let reply = granted.reply(&self.seal(SealedKind::ManagementToken, "", &granted.token)?);
        Ok(self.with_next_nonce(reply, granted.by_nonce, env.now))
    }

    /// Whether the sessions that began with this token's sign-in still last, by both nodes' word. Where either says that they do not, that
    /// is the end: a certificate that is unlocked brings no token back that was tried while it was locked.
    pub(super) async fn lasts(&self, token: &RefreshToken) -> Result<bool, OAuthError> {
        let said = self.standings(&token.renews.client_id, HandleUse::Refresh, &token.handle).await;
        let said = said.map_err(|_| OAuthError::NodesAway)?;
        let lasts = said.iter().all(|one| one.is_some_and(|standing| standing.active && standing.same_epoch));
        if !lasts {
            self.revoke_tokens(token.renews.code, token.renews.revoked_until(), self.now()).await?;
        }
        Ok(lasts)
    }

    /// What both nodes of a handle say.
    ///
    /// # Errors
    /// A node's refusal, if one does not answer.
    pub(super) async fn standings(
        &self,
        client_id: &str,
        wanted: HandleUse,
        handle: &SubjectHandle,
    ) -> Result<Said, Refusal> {
        let client = self.client(client_id, wanted).ok_or(Refusal::PlatformUnknown)?;
        let [one, other] = handle.parts();
        let ask = async |(node, half): (NodeIndex, HandleHalf)| {
            let said = self.ask(&client, wanted, node, vec![half]).await?;
            Ok::<_, Refusal>(said.into_iter().next().flatten())
        };
        let (one, other) = tokio::join!(ask(one), ask(other));
        Ok([one?, other?])
    }

    /// A platform that is admitted now and registered this use.
    pub(super) fn client(&self, client_id: &str, wanted: HandleUse) -> Option<Arc<Client>> {
        let client = Clients::client(&Admitted(self, self.now()), client_id);
        client.filter(|client| client.certificate.registration.may(wanted))
    }

    /// What one node says of its halves, in their order. It is shown the platform's certificate and believes nothing else of whom it is asked
    /// for.
    pub(super) async fn ask(
        &self,
        client: &Client,
        wanted: HandleUse,
        node: NodeIndex,
        halves: Vec<HandleHalf>,
    ) -> Result<Vec<Option<PersonStanding>>, Refusal> {
        let asked = halves.len();
        let ask = AskStandings { certificate: client.jws.clone(), wanted, halves };
        let said = self.ports.nodes[node.slot()].standings(&ask).await?.standings;
        if said.len() == asked { Ok(said) } else { Err(Refusal::NodesUnavailable) }
    }
}
