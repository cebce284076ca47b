//! A request is left with those who keep letters for its seller: it is on disk before it leaves, and a task of its own leaves
//! it, so that it is brought whole also if its caller hangs up.

use super::bring::LEFT_WITH;
use super::{Inner, Refusal, spawn_one};
use crate::mailbox::{Asked, AskedRow};
use crate::node::api::coded;
use crate::node::messages::not_kept;
use crate::post::Leaving;
use haggle_a2a::envelope::SignedMessage;
use haggle_catalog::mail::{MailError, Purpose};
use haggle_gateway::ApiError;
use haggle_gateway::view::MessageView;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Requests that are left at the same time.
const LEFT_AT_ONCE: usize = 16;

/// Leaves requests of our agents, each in a task of its own.
pub(super) async fn leave_requests(inner: Arc<Inner>, mut requests: mpsc::Receiver<Leaving>, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(LEFT_AT_ONCE));
    while let Some(Leaving { request, asked, problem, done }) = requests.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        spawn_one(&inner, &tasks, |inner| async move {
            let left = inner.leave_request(&request, asked, &problem).await;
            // whoever asked may be gone; the request is where it says when it is asked for again
            let _told = done.send(left);
            drop(place);
        });
    }
}

impl Inner {
    /// Leaves a request with those who keep letters for the seller, and shows it as it went; `problem` is why it cannot be
    /// brought. The caller must not have the request's turn.
    pub(in crate::node) async fn ask_by_letter(
        &self,
        request: SignedMessage,
        asked: AskedRow,
        problem: ApiError,
    ) -> Result<MessageView, ApiError> {
        let stops = || ApiError::internal(&"the node stops");
        let (done, told) = oneshot::channel();
        self.post.leaving.send(Leaving { request, asked, problem, done }).await.map_err(|_| stops())?;
        told.await.map_err(|_| stops())?
    }

    async fn leave_request(
        &self,
        request: &SignedMessage,
        asked: AskedRow,
        problem: &ApiError,
    ) -> Result<MessageView, ApiError> {
        let (buyer, name) = (request.message().from, request.message().id.as_str().to_owned());
        let _turn = self.mailbox.turn(&buyer, &name).await;
        if let Some(said) = self.said_before(&buyer, &name, asked.content)? {
            return Ok(said);
        }
        let keys = self.keys.get(&buyer).ok_or_else(|| ApiError::internal(&"the keys of a buyer are not held"))?;
        let (outbox, now, seller) = (&self.post.outbox, self.clock.now(), asked.seller);
        let pointer = self.post.pointer_of(&buyer);
        let token = outbox.token_of(&buyer, &seller, now).map_err(coded)?;
        let what = (name.as_str(), Purpose::Asks);
        let prepared = outbox.prepare(&keys.agent, &seller, what, request.document(), pointer, now).await;
        let prepared = prepared.map_err(coded)?;
        let question = prepared.questions(token).map_err(coded)?.0;
        // the answer may come before the last keeper has said that it keeps the request
        let said = [request];
        let kept = self.mailbox.keep(&said, |batch, numbers| {
            let row = AskedRow { request: numbers.first().copied().unwrap_or_default(), ..asked };
            batch.put::<Asked>(&(buyer, name.clone()), &row)?;
            prepared.write(batch)
        });
        let number = match kept.await {
            Ok(numbers) => numbers.first().copied().unwrap_or_default(),
            Err(error) => {
                outbox.discard(&prepared).map_err(coded)?;
                return Err(not_kept(&error));
            }
        };
        let left = self.leave(&seller, &question, &[], LEFT_WITH).await;
        if left.kept.is_empty() && !left.is_unsure {
            self.mailbox.take_back(number, |batch| prepared.unwrite(batch)).await.map_err(coded)?;
            outbox.discard(&prepared).map_err(coded)?;
            let error = left.last.unwrap_or(MailError::Refused(Refusal::NotKept));
            let mut told = ApiError::from_coded(&error);
            told.detail = format!("{}; nobody keeps a letter for {seller}: {error}", problem.detail);
            return Err(told);
        }
        let sent = outbox.posted(prepared).await.map_err(coded)?;
        for keeper in left.kept {
            outbox.left_at(sent, keeper).await.map_err(coded)?;
        }
        self.post.rung.notify_one();
        self.kept(number)
    }
}
