"""Picture files of the formats that we mean, as 8-bit sRGB: what a profile, linear light or a damaged end mean is
settled here, and a file's size before anything is decoded."""
