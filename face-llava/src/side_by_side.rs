//! Several inputs answered about at the same time.

use frgca::{Frgca, Fusion};
use rayon::prelude::*;

use crate::device::is_cpu;
use crate::{FaceLlava, Session, SessionOptions};

/// Up to this width a decoder's operations are too small to be shared out among the threads of a CPU: whole inputs are.
const NARROW: usize = 512;
/// Inputs that each of several sessions answers about in a row.
const TURNS: usize = 8;

/// Sessions that share inputs out among the threads of a CPU. With a wide decoder, and on other devices, it is one
/// session: there the operations themselves are shared out. Answers are the same either way.
///
/// ```no_run
/// # use face_llava::{Error, FaceLlava, Media, SessionOptions, Sessions};
/// # fn each(model: &FaceLlava, photos: &[&str]) {
/// let mut sessions = Sessions::new(model, &SessionOptions::default());
/// let answers: Vec<Result<String, Error>> = sessions.map(photos, |session, photo| {
///     session.set_media(&Media::open(photo)?)?;
///     Ok(session.ask("What emotion is shown?")?.text)
/// });
/// # }
/// ```
#[derive(Debug)]
pub struct Sessions<'a, F: Fusion = Frgca> {
    sessions: Vec<Session<'a, F>>,
}

impl<'a, F: Fusion> Sessions<'a, F> {
    /// As many sessions as do best with this model on its device.
    pub fn new(model: &'a FaceLlava<F>, options: &SessionOptions) -> Self {
        let narrow = model.config.llama.width <= NARROW;
        let count = if narrow && is_cpu(model.device()) { rayon::current_num_threads() } else { 1 };
        Self { sessions: (0..count).map(|_| model.session(options.clone())).collect() }
    }

    /// Inputs that are best handed over together.
    pub fn at_once(&self) -> usize {
        match self.sessions.len() {
            1 => 1,
            count => TURNS * count,
        }
    }

    /// What `answer` makes of each input, in their order.
    pub fn map<'i, T: Sync, R: Send>(
        &mut self,
        inputs: &'i [T],
        answer: impl Fn(&mut Session<'a, F>, &'i T) -> R + Sync,
    ) -> Vec<R>
    where
        F: Sync,
    {
        // The thread that asks begins the operations: they are what is shared out.
        if let [session] = self.sessions.as_mut_slice() {
            return inputs.iter().map(|input| answer(session, input)).collect();
        }
        let share = inputs.len().div_ceil(self.sessions.len()).max(1);
        let shares = self.sessions.par_iter_mut().zip(inputs.par_chunks(share));
        let each = |(session, inputs): (&mut Session<'a, F>, &'i [T])| -> Vec<R> {
            inputs.iter().map(|input| answer(session, input)).collect()
        };
        shares.flat_map_iter(each).collect()
    }
}
