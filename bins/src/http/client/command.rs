//! stub
use crate::stop::Stop;
/// stub
#[derive(clap::Args, Debug)]
pub struct ClientArgs {}
impl ClientArgs {
    /// stub
    ///
    /// # Errors
    /// never
    pub fn run(&self, _stop: &Stop) -> anyhow::Result<bool> {
        Ok(true)
    }
}
