//! Where targets start, told as stories.
