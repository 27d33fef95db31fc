"""The generator of EDTalk networks as machine code: faster frames on the CPU, where a C++ compiler is at hand.

Rule of this package: it only adds speed. Without a compiler, while it compiles, after any failure and with
`EDTALK_COMPILE=0` frames are drawn as always. A library is made once for a size of network and a kind of processor, by
a process of its own (`build`), kept in the cache folder, and checked against the uncompiled network before it is used.
"""
