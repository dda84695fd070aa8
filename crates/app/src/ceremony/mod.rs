//! Ceremonies over keys as people hold them: who orders, what each office does, what is kept of it (docs/decisions/0016). The machine
//! itself is [`hufu_offices::ceremony`]; here are its files, its transport and its processes.

pub mod all;
pub mod finish;
pub mod identity;
pub mod kept;
pub mod office;
pub mod operator;
pub mod order;
pub mod retire;
pub mod status;
pub mod take_part;
