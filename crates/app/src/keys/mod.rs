//! Where an office's keys are kept: in a file (`root::key_file`), or in a PKCS#11 token.

pub mod pkcs11;
