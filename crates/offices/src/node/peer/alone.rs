//! Whole rows on one node's word, since two operators ordered it: the third has lost what it would say (docs/decisions/0018).

use super::super::Node;
use super::super::generations::Began;
use super::adopt::{Adopted, holder_of};
use hufu_kernel::{NodeIndex, Refusal};
use hufu_wire::api::peer::{AskRows, RowName, WholeRow};

impl Node {
    /// Takes the rows that `peer` has under these names.
    ///
    /// # Errors
    /// The peer's.
    pub(super) async fn adopt_alone(&self, peer: NodeIndex, names: &[RowName]) -> Result<Adopted, Refusal> {
        let mut adopted = Adopted::default();
        for names in names.chunks(AskRows::MOST) {
            let theirs = self.whole_rows(peer, names).await?;
            // What it sends no row for waits for others itself.
            adopted.waiting += names.len() - theirs.len().min(names.len());
            for one in theirs {
                match self.third_part(peer, &one).await {
                    Ok(Some(other)) => {
                        adopted.count(crate::retrying(|| self.take_whole(peer, &one, &other)).await);
                    }
                    // Waiting brings nothing back, and all others would wait with it.
                    Ok(None) => tracing::error!(
                        "a row cannot be computed any more: its keys of before a rotation are destroyed here, and the third node has lost it. \
                         It is left out"
                    ),
                    Err(refusal) => adopted.count(Err(refusal)),
                }
            }
        }
        Ok(adopted)
    }

    /// The row as the third node would send it: the offsets of the sub-keys that it shares with this one are computed, and must fit what
    /// it committed to once, as `peer` remembers it. Nothing if none do.
    async fn third_part(&self, peer: NodeIndex, one: &WholeRow) -> Result<Option<WholeRow>, Refusal> {
        let shared = self.shared_with(self.third(peer))?;
        let (root_u, at) = (&one.common.root_u, one.common.generation);
        let epoch = holder_of(one)?.epoch;
        let index = self.index_of("root", root_u.as_slice())?;
        let own = self.store.find::<super::Row>("root", index.as_slice()).await?.map(|found| found.record);
        let private = own.as_ref().map(|row| self.private(row)).transpose()?;
        let held = own.as_ref().zip(private.as_ref());
        let pseudonym = Began {
            epoch: None,
            held: held.map(|(row, private)| (row.generation, private.offsets.as_slice())),
            told: one.commitments.pseudonym[shared.slot()].as_ref(),
        };
        let of_epoch = Began {
            epoch: Some(&epoch),
            held: held
                .filter(|(row, _)| row.holder.epoch == epoch)
                .map(|(row, private)| (row.generation, private.epoch_offsets.as_slice())),
            told: one.commitments.epoch[shared.slot()].as_ref(),
        };
        let offset = self.offset_that_fits(root_u, shared, at, &pseudonym)?;
        let epoch_offset = self.offset_that_fits(root_u, shared, at, &of_epoch)?;
        let (Some(offset), Some(epoch_offset)) = (offset, epoch_offset) else { return Ok(None) };
        Ok(Some(WholeRow { offset, epoch_offset, ..one.clone() }))
    }
}
