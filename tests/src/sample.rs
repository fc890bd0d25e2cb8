//! Sample blocks: generated words that compress as text does, and noise that
//! does not. Nothing comes from third parties.

use crate::random::Random;

/// How many words there are.
const WORDS: usize = 400;

/// A stream of sample blocks, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Sample {
    random: Random,
    words: Vec<Vec<u8>>,
    percent_words: usize,
}

impl Sample {
    /// Blocks of which about `percent_words` in a hundred are words, the rest
    /// noise.
    #[must_use]
    pub fn new(seed: u64, percent_words: usize) -> Self {
        let mut random = Random::new(seed);
        let words = (0..WORDS).map(|_| word(&mut random)).collect();
        Sample {
            random,
            words,
            percent_words,
        }
    }

    /// The next block of `size` bytes: words or noise.
    pub fn block(&mut self, size: usize) -> Vec<u8> {
        if self.random.below(100) < self.percent_words {
            self.text(size)
        } else {
            self.random.bytes(size)
        }
    }

    /// `size` bytes of words. Frequent words are few, as in any language.
    pub fn text(&mut self, size: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(size + 16);
        while text.len() < size {
            let limit = 1 + self.random.below(WORDS);
            let word = &self.words[self.random.below(limit)];
            text.extend_from_slice(word);
            text.push(if self.random.below(12) == 0 {
                b'\n'
            } else {
                b' '
            });
        }
        text.truncate(size);
        text
    }

    /// `size` bytes of noise.
    pub fn noise(&mut self, size: usize) -> Vec<u8> {
        self.random.bytes(size)
    }

    /// A size from 1 to `most`.
    pub fn size(&mut self, most: usize) -> usize {
        1 + self.random.below(most)
    }
}

/// A word of 3 to 10 letters, consonants and vowels in turn.
fn word(random: &mut Random) -> Vec<u8> {
    let length = 3 + random.below(8);
    (0..length)
        .map(|at| {
            let letters: &[u8] = if at % 2 == 0 {
                b"bcdfghklmnprstvw"
            } else {
                b"aeiou"
            };
            letters[random.below(letters.len())]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Block;

    #[test]
    fn words_compress_to_35_to_45_percent_and_noise_not_at_all() {
        let mut sample = Sample::new(1, 65);
        let (mut stored, mut size) = (0, 0);
        for _ in 0..100 {
            let block = Block::pack(13, &sample.text(8192));
            stored += block.bytes.len();
            size += usize::from(block.size);
        }
        let percent = stored * 100 / size;
        assert!((35..45).contains(&percent), "{percent} %");
        assert_eq!(Block::pack(13, &sample.noise(8192)).encoding, 1);
    }
}
