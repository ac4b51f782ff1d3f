# Made by layouts.py: what `capnp compile -ocapnp` prints, with the place of each field behind it.
struct S0 @0x99b9e0b46b460aac {  # 48 bytes, 2 ptrs
  f14 :group {
    f13 :group {
      union {  # tag bits [32, 48)
        f4 :group {  # union tag = 3
          f1 @8 :UInt8;  # bits[0, 8)
          f2 @13 :Bool;  # bits[8, 9)
          f3 @11 :Float64;  # bits[192, 256)
        }
        f7 :group {  # union tag = 2
          f5 @10 :Float64;  # bits[192, 256)
          f6 @6 :Bool;  # bits[0, 1)
        }
        f8 @3 :Data;  # ptr[1], union tag = 1
        f12 :group {  # union tag = 0
          union {  # tag bits [16, 32)
            f9 @2 :Int8;  # bits[0, 8), union tag = 1
            f10 @1 :UInt8;  # bits[0, 8), union tag = 0
            f11 @15 :Float32;  # bits[192, 224), union tag = 2
          }
        }
      }
    }
  }
  f15 @9 :Bool;  # bits[80, 81)
  f16 @12 :Float64;  # bits[256, 320)
  f20 :group {
    union {  # tag bits [64, 80)
      f17 @5 :Float32;  # bits[96, 128), union tag = 1
      f18 @14 :Int8;  # bits[96, 104), union tag = 2
      f19 @0 :Data;  # ptr[0], union tag = 0
    }
  }
  f21 @7 :Int64;  # bits[128, 192)
  f23 :group {
    f22 @17 :UInt32;  # bits[352, 384)
  }
  f24 @4 :Int16;  # bits[48, 64)
  f25 @16 :UInt16;  # bits[320, 336)
}
struct S1 @0x8a1ad1113c9f9a9d {  # 64 bytes, 0 ptrs
  f1 @11 :UInt16;  # bits[320, 336)
  f2 @4 :Float64;  # bits[128, 192)
  f3 @16 :Int32;  # bits[448, 480)
  f8 :group {
    union {  # tag bits [272, 288)
      f5 :group {  # union tag = 1
        f4 @8 :UInt32;  # bits[288, 320)
      }
      f6 @0 :UInt16;  # bits[0, 16), union tag = 0
      f7 @13 :Float32;  # bits[288, 320), union tag = 2
    }
  }
  f9 @15 :Float32;  # bits[352, 384)
  f10 @1 :Float32;  # bits[32, 64)
  f17 :group {
    union {  # tag bits [192, 208)
      f15 :group {  # union tag = 1
        union {  # tag bits [16, 32)
          f13 :group {  # union tag = 0
            f11 @10 :Void;  # bits[0, 0)
            f12 @5 :Float32;  # bits[224, 256)
          }
          f14 @9 :Bool;  # bits[224, 225), union tag = 1
        }
      }
      f16 @2 :Int8;  # bits[16, 24), union tag = 0
    }
  }
  f18 @6 :UInt16;  # bits[208, 224)
  f19 @7 :Int16;  # bits[256, 272)
  f20 @3 :UInt64;  # bits[64, 128)
  f21 @12 :Float64;  # bits[384, 448)
  f22 @14 :Bool;  # bits[336, 337)
}
struct S2 @0xd27f928ebf42511d {  # 56 bytes, 4 ptrs
  f1 @5 :UInt16;  # bits[96, 112)
  f7 :group {
    union {  # tag bits [304, 320)
      f3 :group {  # union tag = 1
        f2 @23 :UInt64;  # bits[384, 448)
      }
      f6 :group {  # union tag = 0
        f4 @4 :Bool;  # bits[80, 81)
        f5 @0 :Float32;  # bits[0, 32)
      }
    }
  }
  f8 @21 :Text;  # ptr[3]
  f9 @18 :UInt8;  # bits[264, 272)
  f10 @14 :Void;  # bits[0, 0)
  f11 @19 :Int16;  # bits[288, 304)
  f12 @15 :UInt8;  # bits[168, 176)
  f16 :group {
    union {  # tag bits [112, 128)
      f13 @10 :Int8;  # bits[160, 168), union tag = 1
      f14 @22 :UInt64;  # bits[320, 384), union tag = 2
      f15 @2 :List(Int8);  # ptr[0], union tag = 0
    }
  }
  f17 @8 :Int8;  # bits[88, 96)
  f18 @11 :Bool;  # bits[81, 82)
  f24 :group {
    union {  # tag bits [176, 192)
      f21 :group {  # union tag = 1
        union {  # tag bits [272, 288)
          f19 @12 :Void;  # bits[0, 0), union tag = 0
          f20 @20 :Bool;  # bits[82, 83), union tag = 1
        }
      }
      f22 @17 :UInt16;  # bits[272, 288), union tag = 2
      f23 @6 :Data;  # ptr[1], union tag = 0
    }
  }
  f25 @13 :List(Int8);  # ptr[2]
  f26 @7 :Int32;  # bits[128, 160)
  f27 @1 :UInt32;  # bits[32, 64)
  f28 @3 :UInt16;  # bits[64, 80)
  f29 @16 :UInt8;  # bits[256, 264)
  f30 @9 :Float64;  # bits[192, 256)
}
struct S3 @0xdfd31a0b4352e4f5 {  # 24 bytes, 2 ptrs
  f1 @5 :Data;  # ptr[1]
  f15 :group {
    union {  # tag bits [16, 32)
      f8 :group {  # union tag = 1
        f6 :group {
          union {  # tag bits [32, 48)
            f2 @1 :Int16;  # bits[0, 16), union tag = 0
            f3 @10 :Float64;  # bits[128, 192), union tag = 3
            f4 @3 :UInt16;  # bits[0, 16), union tag = 1
            f5 @6 :Bool;  # bits[0, 1), union tag = 2
          }
        }
        f7 @13 :Void;  # bits[0, 0)
      }
      f14 :group {  # union tag = 0
        f9 @11 :Void;  # bits[0, 0)
        f13 :group {
          f10 @4 :Bool;  # bits[8, 9)
          f11 @12 :Int32;  # bits[128, 160)
          f12 @0 :Int8;  # bits[0, 8)
        }
      }
    }
  }
  f22 :group {
    union {  # tag bits [48, 64)
      f19 :group {  # union tag = 0
        union {  # tag bits [64, 80)
          f17 :group {  # union tag = 1
            f16 @9 :UInt32;  # bits[96, 128)
          }
          f18 @2 :List(Int8);  # ptr[0], union tag = 0
        }
      }
      f20 @14 :Bool;  # bits[64, 65), union tag = 2
      f21 @7 :Int16;  # bits[64, 80), union tag = 1
    }
  }
  f23 @8 :Bool;  # bits[80, 81)
}
struct S4 @0xc9bbd6e8d28ca56d {  # 16 bytes, 1 ptrs
  f1 @0 :Data;  # ptr[0]
  f6 :group {
    union {  # tag bits [32, 48)
      f2 @1 :UInt32;  # bits[0, 32), union tag = 0
      f3 @6 :Bool;  # bits[0, 1), union tag = 2
      f4 @2 :Int32;  # bits[0, 32), union tag = 1
      f5 @8 :Int16;  # bits[0, 16), union tag = 3
    }
  }
  f13 :group {
    f12 :group {
      union {  # tag bits [48, 64)
        f7 @7 :UInt16;  # bits[64, 80), union tag = 1
        f11 :group {  # union tag = 0
          f8 @4 :UInt32;  # bits[64, 96)
          f9 @3 :Void;  # bits[0, 0)
          f10 @5 :Bool;  # bits[96, 97)
        }
      }
    }
  }
}
struct S5 @0xeae604ad13395951 {  # 56 bytes, 2 ptrs
  f1 @5 :Int64;  # bits[256, 320)
  f12 :group {
    f11 :group {
      f5 :group {
        union {  # tag bits [208, 224)
          f2 @6 :Bool;  # bits[64, 65), union tag = 1
          f3 @13 :Bool;  # bits[64, 65), union tag = 2
          f4 @1 :Int64;  # bits[64, 128), union tag = 0
        }
      }
      f6 @11 :UInt8;  # bits[384, 392)
      f10 :group {
        union {  # tag bits [240, 256)
          f7 @0 :UInt64;  # bits[0, 64), union tag = 0
          f8 @9 :Float32;  # bits[0, 32), union tag = 1
          f9 @12 :Text;  # ptr[1], union tag = 2
        }
      }
    }
  }
  f13 @2 :Float64;  # bits[128, 192)
  f14 @3 :UInt16;  # bits[192, 208)
  f15 @8 :Bool;  # bits[232, 233)
  f16 @4 :Text;  # ptr[0]
  f17 @7 :UInt8;  # bits[224, 232)
  f18 @10 :Int64;  # bits[320, 384)
}
struct S6 @0xb7f5482669b4a57e {  # 32 bytes, 4 ptrs
  f23 :group {
    f1 @1 :Int8;  # bits[64, 72)
    f10 :group {
      union {  # tag bits [128, 144)
        f6 :group {  # union tag = 0
          union {  # tag bits [144, 160)
            f2 @14 :List(Int8);  # ptr[0], union tag = 3
            f3 @8 :Data;  # ptr[0], union tag = 1
            f4 @2 :Data;  # ptr[0], union tag = 0
            f5 @12 :UInt16;  # bits[160, 176), union tag = 2
          }
        }
        f9 :group {  # union tag = 1
          union {  # tag bits [144, 160)
            f7 @7 :Bool;  # bits[160, 161), union tag = 1
            f8 @6 :Float32;  # bits[160, 192), union tag = 0
          }
        }
      }
    }
    f22 :group {
      f13 :group {
        union {  # tag bits [112, 128)
          f11 @5 :Text;  # ptr[1], union tag = 1
          f12 @4 :UInt16;  # bits[96, 112), union tag = 0
        }
      }
      f16 :group {
        f14 @11 :List(Int8);  # ptr[3]
        f15 @9 :Float32;  # bits[192, 224)
      }
      f21 :group {
        union {  # tag bits [80, 96)
          f17 @13 :UInt16;  # bits[0, 16), union tag = 3
          f18 @3 :Int32;  # bits[0, 32), union tag = 1
          f19 @10 :Data;  # ptr[2], union tag = 2
          f20 @0 :Int64;  # bits[0, 64), union tag = 0
        }
      }
    }
  }
  f24 @15 :Void;  # bits[0, 0)
}
struct S7 @0x9c726833305df756 {  # 8 bytes, 2 ptrs
  f1 @0 :List(Int8);  # ptr[0]
  f5 :group {
    union {  # tag bits [32, 48)
      f2 @3 :Data;  # ptr[1], union tag = 2
      f3 @2 :Int32;  # bits[0, 32), union tag = 1
      f4 @1 :Int32;  # bits[0, 32), union tag = 0
    }
  }
  f6 @4 :Int8;  # bits[48, 56)
}
struct S8 @0xbe7e7d7ac75fb2ef {  # 56 bytes, 3 ptrs
  f2 :group {
    f1 @22 :Void;  # bits[0, 0)
  }
  f6 :group {
    union {  # tag bits [384, 400)
      f3 @20 :UInt32;  # bits[64, 96), union tag = 2
      f4 @14 :Int32;  # bits[64, 96), union tag = 1
      f5 @2 :Int32;  # bits[64, 96), union tag = 0
    }
  }
  f7 @17 :Void;  # bits[0, 0)
  f8 @1 :Int64;  # bits[0, 64)
  f15 :group {
    union {  # tag bits [96, 112)
      f9 @0 :Text;  # ptr[0], union tag = 0
      f14 :group {  # union tag = 1
        union {  # tag bits [240, 256)
          f10 @4 :Float32;  # bits[192, 224), union tag = 0
          f13 :group {  # union tag = 1
            union {  # tag bits [192, 208)
              f11 @7 :Text;  # ptr[0], union tag = 0
              f12 @9 :Float64;  # bits[256, 320), union tag = 1
            }
          }
        }
      }
    }
  }
  f24 :group {
    union {  # tag bits [400, 416)
      f16 @19 :Bool;  # bits[320, 321), union tag = 1
      f22 :group {  # union tag = 0
        union {  # tag bits [352, 368)
          f18 :group {  # union tag = 0
            f17 @10 :Int32;  # bits[320, 352)
          }
          f21 :group {  # union tag = 1
            f19 @11 :List(Int8);  # ptr[1]
            f20 @16 :Int32;  # bits[320, 352)
          }
        }
      }
      f23 @23 :Bool;  # bits[320, 321), union tag = 2
    }
  }
  f25 @12 :UInt8;  # bits[232, 240)
  f26 @6 :Bool;  # bits[224, 225)
  f36 :group {
    union {  # tag bits [112, 128)
      f32 :group {  # union tag = 1
        union {  # tag bits [144, 160)
          f27 @5 :Int16;  # bits[128, 144), union tag = 0
          f31 :group {  # union tag = 1
            f28 @13 :Int8;  # bits[160, 168)
            f29 @15 :Int16;  # bits[176, 192)
            f30 @8 :Int16;  # bits[128, 144)
          }
        }
      }
      f33 @18 :Data;  # ptr[2], union tag = 2
      f34 @3 :Float64;  # bits[128, 192), union tag = 0
      f35 @21 :UInt64;  # bits[128, 192), union tag = 3
    }
  }
}
struct S9 @0xc59aae3dc555c683 {  # 24 bytes, 2 ptrs
  f1 @2 :Text;  # ptr[1]
  f21 :group {
    union {  # tag bits [0, 16)
      f2 @1 :Float32;  # bits[32, 64), union tag = 1
      f3 @0 :Data;  # ptr[0], union tag = 0
      f13 :group {  # union tag = 3
        union {  # tag bits [48, 64)
          f4 @13 :List(Int8);  # ptr[0], union tag = 2
          f8 :group {  # union tag = 0
            union {  # tag bits [32, 48)
              f5 @4 :Float64;  # bits[64, 128), union tag = 0
              f6 @11 :Bool;  # bits[64, 65), union tag = 2
              f7 @5 :Bool;  # bits[64, 65), union tag = 1
            }
          }
          f12 :group {  # union tag = 1
            f9 @6 :UInt64;  # bits[64, 128)
            f10 @12 :UInt64;  # bits[128, 192)
            f11 @10 :Bool;  # bits[32, 33)
          }
        }
      }
      f20 :group {  # union tag = 2
        f14 @9 :UInt32;  # bits[160, 192)
        f18 :group {
          f15 @3 :Bool;  # bits[32, 33)
          f16 @8 :Int32;  # bits[128, 160)
          f17 @14 :Data;  # ptr[0]
        }
        f19 @7 :Float64;  # bits[64, 128)
      }
    }
  }
}
struct S10 @0xd01f10cb44fd7b48 {  # 24 bytes, 3 ptrs
  f1 @6 :UInt8;  # bits[72, 80)
  f2 @7 :UInt64;  # bits[128, 192)
  f3 @1 :Data;  # ptr[0]
  f12 :group {
    f7 :group {
      union {  # tag bits [80, 96)
        f5 :group {  # union tag = 0
          f4 @3 :Bool;  # bits[65, 66)
        }
        f6 @8 :List(Int8);  # ptr[2], union tag = 1
      }
    }
    f8 @0 :UInt64;  # bits[0, 64)
    f11 :group {
      f9 @2 :Bool;  # bits[64, 65)
      f10 @4 :Bool;  # bits[66, 67)
    }
  }
  f13 @5 :Text;  # ptr[1]
}
struct S11 @0xe47ff5cc0ad9578d {  # 48 bytes, 0 ptrs
  f10 :group {
    f7 :group {
      f3 :group {
        union {  # tag bits [176, 192)
          f1 @14 :Int64;  # bits[256, 320), union tag = 1
          f2 @2 :UInt16;  # bits[32, 48), union tag = 0
        }
      }
      f6 :group {
        f4 @3 :Int32;  # bits[64, 96)
        f5 @15 :Int32;  # bits[320, 352)
      }
    }
    f8 @6 :Int8;  # bits[8, 16)
    f9 @7 :Bool;  # bits[1, 2)
  }
  f19 :group {
    union {  # tag bits [160, 176)
      f11 @9 :Int32;  # bits[96, 128), union tag = 1
      f12 @13 :Float32;  # bits[96, 128), union tag = 2
      f18 :group {  # union tag = 0
        union {  # tag bits [48, 64)
          f15 :group {  # union tag = 0
            union {  # tag bits [96, 112)
              f13 @1 :UInt16;  # bits[16, 32), union tag = 0
              f14 @11 :Float32;  # bits[224, 256), union tag = 1
            }
          }
          f16 @12 :Int16;  # bits[16, 32), union tag = 2
          f17 @5 :UInt32;  # bits[96, 128), union tag = 1
        }
      }
    }
  }
  f20 @4 :Void;  # bits[0, 0)
  f24 :group {
    f21 @8 :Float32;  # bits[128, 160)
    f22 @10 :Float32;  # bits[192, 224)
    f23 @0 :Bool;  # bits[0, 1)
  }
}
struct S12 @0x8cd1c485d7a97502 {  # 32 bytes, 1 ptrs
  f3 :group {
    union {  # tag bits [48, 64)
      f1 @0 :Int16;  # bits[0, 16), union tag = 0
      f2 @4 :Bool;  # bits[0, 1), union tag = 1
    }
  }
  f4 @11 :Float32;  # bits[192, 224)
  f5 @9 :Int16;  # bits[160, 176)
  f19 :group {
    union {  # tag bits [128, 144)
      f6 @5 :Float64;  # bits[64, 128), union tag = 1
      f18 :group {  # union tag = 0
        union {  # tag bits [16, 32)
          f7 @6 :Int16;  # bits[32, 48), union tag = 3
          f11 :group {  # union tag = 1
            union {  # tag bits [64, 80)
              f8 @8 :Int16;  # bits[32, 48), union tag = 1
              f9 @13 :Int8;  # bits[32, 40), union tag = 2
              f10 @2 :UInt16;  # bits[32, 48), union tag = 0
            }
          }
          f13 :group {  # union tag = 0
            f12 @1 :List(Int8);  # ptr[0]
          }
          f17 :group {  # union tag = 2
            f14 @3 :Float64;  # bits[64, 128)
            f15 @10 :Int16;  # bits[32, 48)
            f16 @12 :Int32;  # bits[224, 256)
          }
        }
      }
    }
  }
  f20 @7 :UInt16;  # bits[144, 160)
}
struct S13 @0xf6213c7de8ce009e {  # 32 bytes, 4 ptrs
  f1 @5 :UInt64;  # bits[128, 192)
  f10 :group {
    union {  # tag bits [16, 32)
      f2 @9 :Int64;  # bits[64, 128), union tag = 3
      f3 @3 :Int64;  # bits[64, 128), union tag = 2
      f4 @0 :Text;  # ptr[0], union tag = 0
      f9 :group {  # union tag = 1
        f5 @6 :Data;  # ptr[1]
        f8 :group {
          union {  # tag bits [64, 80)
            f6 @8 :List(Int8);  # ptr[0], union tag = 1
            f7 @2 :Data;  # ptr[0], union tag = 0
          }
        }
      }
    }
  }
  f11 @11 :Data;  # ptr[2]
  f12 @15 :List(Int8);  # ptr[3]
  f13 @12 :Bool;  # bits[2, 3)
  f23 :group {
    union {  # tag bits [48, 64)
      f18 :group {  # union tag = 0
        f14 @1 :Bool;  # bits[0, 1)
        f17 :group {
          union {  # tag bits [32, 48)
            f15 @7 :UInt64;  # bits[192, 256), union tag = 1
            f16 @4 :Bool;  # bits[1, 2), union tag = 0
          }
        }
      }
      f22 :group {  # union tag = 1
        f19 @10 :UInt8;  # bits[32, 40)
        f20 @14 :Bool;  # bits[0, 1)
        f21 @13 :Int8;  # bits[40, 48)
      }
    }
  }
}
struct S14 @0x9fb10c6634b85e63 {  # 56 bytes, 1 ptrs
  f10 :group {
    f8 :group {
      union {  # tag bits [96, 112)
        f1 @9 :Int32;  # bits[32, 64), union tag = 1
        f3 :group {  # union tag = 2
          f2 @12 :Float64;  # bits[320, 384)
        }
        f7 :group {  # union tag = 0
          union {  # tag bits [112, 128)
            f4 @14 :Float64;  # bits[320, 384), union tag = 2
            f5 @2 :UInt32;  # bits[32, 64), union tag = 0
            f6 @10 :Bool;  # bits[32, 33), union tag = 1
          }
        }
      }
    }
    f9 @3 :Float32;  # bits[64, 96)
  }
  f11 @1 :Data;  # ptr[0]
  f12 @5 :Int8;  # bits[8, 16)
  f19 :group {
    f13 @4 :Float64;  # bits[128, 192)
    f14 @15 :Float32;  # bits[416, 448)
    f18 :group {
      f15 @13 :Float32;  # bits[384, 416)
      f17 :group {
        f16 @7 :Int16;  # bits[16, 32)
      }
    }
  }
  f20 @8 :Bool;  # bits[1, 2)
  f25 :group {
    f24 :group {
      f21 @6 :UInt64;  # bits[192, 256)
      f22 @0 :Bool;  # bits[0, 1)
      f23 @11 :Int64;  # bits[256, 320)
    }
  }
}
struct S15 @0xe20f1e8064788235 {  # 24 bytes, 3 ptrs
  f1 @11 :Text;  # ptr[2]
  f2 @1 :UInt8;  # bits[32, 40)
  f13 :group {
    union {  # tag bits [48, 64)
      f3 @2 :Int16;  # bits[0, 16), union tag = 1
      f10 :group {  # union tag = 0
        union {  # tag bits [128, 144)
          f4 @7 :Data;  # ptr[1], union tag = 1
          f9 :group {  # union tag = 0
            union {  # tag bits [64, 80)
              f5 @3 :UInt32;  # bits[0, 32), union tag = 1
              f6 @9 :UInt32;  # bits[0, 32), union tag = 2
              f7 @10 :Bool;  # bits[0, 1), union tag = 3
              f8 @0 :Float32;  # bits[0, 32), union tag = 0
            }
          }
        }
      }
      f11 @16 :Data;  # ptr[1], union tag = 3
      f12 @8 :List(Int8);  # ptr[1], union tag = 2
    }
  }
  f23 :group {
    union {  # tag bits [80, 96)
      f16 :group {  # union tag = 0
        union {  # tag bits [96, 112)
          f14 @13 :Bool;  # bits[40, 41), union tag = 1
          f15 @4 :Int8;  # bits[40, 48), union tag = 0
        }
      }
      f21 :group {  # union tag = 1
        union {  # tag bits [112, 128)
          f17 @14 :UInt16;  # bits[96, 112), union tag = 2
          f18 @5 :UInt16;  # bits[96, 112), union tag = 0
          f19 @6 :Text;  # ptr[0], union tag = 1
          f20 @15 :Int16;  # bits[96, 112), union tag = 3
        }
      }
      f22 @12 :Bool;  # bits[40, 41), union tag = 2
    }
  }
}
struct S16 @0x90f1b216cfacf429 {  # 64 bytes, 1 ptrs
  f1 @15 :UInt32;  # bits[288, 320)
  f11 :group {
    f10 :group {
      union {  # tag bits [272, 288)
        f5 :group {  # union tag = 0
          union {  # tag bits [384, 400)
            f2 @22 :UInt16;  # bits[0, 16), union tag = 2
            f3 @17 :UInt64;  # bits[0, 64), union tag = 1
            f4 @0 :Float64;  # bits[0, 64), union tag = 0
          }
        }
        f7 :group {  # union tag = 1
          f6 @12 :List(Int8);  # ptr[0]
        }
        f8 @13 :Void;  # bits[0, 0), union tag = 2
        f9 @14 :Text;  # ptr[0], union tag = 3
      }
    }
  }
  f12 @2 :Int32;  # bits[96, 128)
  f13 @21 :Int64;  # bits[448, 512)
  f14 @16 :Float64;  # bits[320, 384)
  f15 @3 :Bool;  # bits[80, 81)
  f16 @1 :Int16;  # bits[64, 80)
  f33 :group {
    union {  # tag bits [256, 272)
      f27 :group {  # union tag = 0
        union {  # tag bits [160, 176)
          f17 @4 :Float32;  # bits[128, 160), union tag = 0
          f18 @18 :Void;  # bits[0, 0), union tag = 2
          f21 :group {  # union tag = 3
            union {  # tag bits [144, 160)
              f19 @20 :Bool;  # bits[128, 129), union tag = 1
              f20 @19 :Bool;  # bits[128, 129), union tag = 0
            }
          }
          f26 :group {  # union tag = 1
            union {  # tag bits [144, 160)
              f22 @5 :UInt16;  # bits[128, 144), union tag = 0
              f23 @7 :Bool;  # bits[128, 129), union tag = 2
              f24 @6 :Float64;  # bits[192, 256), union tag = 1
              f25 @23 :UInt16;  # bits[128, 144), union tag = 3
            }
          }
        }
      }
      f32 :group {  # union tag = 1
        union {  # tag bits [144, 160)
          f28 @9 :Int64;  # bits[192, 256), union tag = 1
          f29 @8 :UInt8;  # bits[128, 136), union tag = 0
          f30 @11 :UInt16;  # bits[192, 208), union tag = 3
          f31 @10 :UInt64;  # bits[192, 256), union tag = 2
        }
      }
    }
  }
}
struct S17 @0xc2bc7ced7c37891f {  # 8 bytes, 0 ptrs
  f1 @0 :Int64;  # bits[0, 64)
}
struct S18 @0x884c6a0bdd1e54e1 {  # 0 bytes, 1 ptrs
  f1 @1 :List(Int8);  # ptr[0]
  f2 @0 :Void;  # bits[0, 0)
}
struct S19 @0xc2857f068db2cb52 {  # 32 bytes, 0 ptrs
  f3 :group {
    union {  # tag bits [208, 224)
      f1 @0 :Int64;  # bits[0, 64), union tag = 0
      f2 @6 :Bool;  # bits[0, 1), union tag = 1
    }
  }
  f12 :group {
    union {  # tag bits [112, 128)
      f8 :group {  # union tag = 0
        union {  # tag bits [192, 208)
          f4 @8 :Int16;  # bits[64, 80), union tag = 3
          f5 @1 :Float32;  # bits[64, 96), union tag = 0
          f6 @5 :UInt32;  # bits[64, 96), union tag = 1
          f7 @7 :Int16;  # bits[64, 80), union tag = 2
        }
      }
      f10 :group {  # union tag = 2
        f9 @13 :Int32;  # bits[64, 96)
      }
      f11 @4 :Int8;  # bits[64, 72), union tag = 1
    }
  }
  f13 @12 :Bool;  # bits[97, 98)
  f14 @10 :Int8;  # bits[104, 112)
  f15 @11 :Float32;  # bits[224, 256)
  f18 :group {
    f16 @2 :Bool;  # bits[96, 97)
    f17 @9 :Void;  # bits[0, 0)
  }
  f19 @3 :Int64;  # bits[128, 192)
}
struct S20 @0xbf8b597af1e3f16a {  # 32 bytes, 1 ptrs
  f3 :group {
    f1 @6 :Data;  # ptr[0]
    f2 @2 :UInt64;  # bits[64, 128)
  }
  f13 :group {
    union {  # tag bits [128, 144)
      f4 @3 :UInt32;  # bits[0, 32), union tag = 1
      f5 @5 :UInt8;  # bits[160, 168), union tag = 2
      f12 :group {  # union tag = 0
        f6 @1 :Int32;  # bits[32, 64)
        f7 @8 :UInt32;  # bits[224, 256)
        f11 :group {
          f8 @0 :UInt8;  # bits[0, 8)
          f9 @7 :Int32;  # bits[192, 224)
          f10 @4 :Float32;  # bits[160, 192)
        }
      }
    }
  }
}
struct S21 @0xed98dc9f83a5f1b2 {  # 16 bytes, 1 ptrs
  f10 :group {
    union {  # tag bits [32, 48)
      f8 :group {  # union tag = 0
        union {  # tag bits [0, 16)
          f3 :group {  # union tag = 1
            union {  # tag bits [16, 32)
              f1 @1 :Int64;  # bits[64, 128), union tag = 0
              f2 @2 :UInt16;  # bits[64, 80), union tag = 1
            }
          }
          f6 :group {  # union tag = 2
            union {  # tag bits [16, 32)
              f4 @5 :Float64;  # bits[64, 128), union tag = 1
              f5 @3 :Void;  # bits[0, 0), union tag = 0
            }
          }
          f7 @0 :Text;  # ptr[0], union tag = 0
        }
      }
      f9 @4 :Int64;  # bits[64, 128), union tag = 1
    }
  }
}
struct S22 @0xe769bbac177bb765 {  # 48 bytes, 2 ptrs
  f1 @12 :Int8;  # bits[280, 288)
  f2 @0 :Int32;  # bits[0, 32)
  f3 @7 :Int16;  # bits[256, 272)
  f6 :group {
    f4 @13 :Void;  # bits[0, 0)
    f5 @16 :Text;  # ptr[1]
  }
  f7 @15 :Int16;  # bits[288, 304)
  f8 @3 :UInt64;  # bits[64, 128)
  f9 @10 :Float64;  # bits[320, 384)
  f10 @11 :Int8;  # bits[272, 280)
  f19 :group {
    union {  # tag bits [144, 160)
      f15 :group {  # union tag = 0
        union {  # tag bits [160, 176)
          f11 @19 :UInt16;  # bits[176, 192), union tag = 3
          f12 @9 :Int8;  # bits[176, 184), union tag = 1
          f13 @14 :Data;  # ptr[0], union tag = 2
          f14 @2 :List(Int8);  # ptr[0], union tag = 0
        }
      }
      f16 @5 :Float32;  # bits[160, 192), union tag = 1
      f17 @18 :Text;  # ptr[0], union tag = 3
      f18 @8 :Data;  # ptr[0], union tag = 2
    }
  }
  f24 :group {
    union {  # tag bits [128, 144)
      f20 @4 :Int8;  # bits[32, 40), union tag = 1
      f21 @1 :Float32;  # bits[32, 64), union tag = 0
      f22 @17 :UInt32;  # bits[32, 64), union tag = 3
      f23 @6 :Float64;  # bits[192, 256), union tag = 2
    }
  }
}
struct S23 @0xddb66b085a27e9e6 {  # 56 bytes, 4 ptrs
  f1 @11 :UInt8;  # bits[80, 88)
  f5 :group {
    f2 @18 :Text;  # ptr[2]
    f3 @8 :Int64;  # bits[192, 256)
    f4 @3 :UInt8;  # bits[64, 72)
  }
  f6 @7 :List(Int8);  # ptr[0]
  f10 :group {
    f9 :group {
      f7 @9 :Text;  # ptr[1]
      f8 @20 :List(Int8);  # ptr[3]
    }
  }
  f23 :group {
    union {  # tag bits [16, 32)
      f11 @6 :Float32;  # bits[32, 64), union tag = 3
      f20 :group {  # union tag = 2
        union {  # tag bits [0, 16)
          f14 :group {  # union tag = 2
            f12 @19 :Bool;  # bits[384, 385)
            f13 @17 :Float32;  # bits[32, 64)
          }
          f18 :group {  # union tag = 1
            union {  # tag bits [48, 64)
              f15 @13 :Bool;  # bits[32, 33), union tag = 0
              f16 @16 :UInt64;  # bits[384, 448), union tag = 2
              f17 @14 :UInt8;  # bits[32, 40), union tag = 1
            }
          }
          f19 @2 :Float32;  # bits[32, 64), union tag = 0
        }
      }
      f21 @1 :Void;  # bits[0, 0), union tag = 1
      f22 @0 :UInt16;  # bits[0, 16), union tag = 0
    }
  }
  f24 @10 :Int64;  # bits[256, 320)
  f26 :group {
    f25 @12 :Int32;  # bits[96, 128)
  }
  f32 :group {
    f30 :group {
      f29 :group {
        f27 @15 :Int16;  # bits[320, 336)
        f28 @5 :Bool;  # bits[72, 73)
      }
    }
    f31 @4 :Int64;  # bits[128, 192)
  }
}
struct S24 @0xc4e70d5161cd3595 {  # 16 bytes, 0 ptrs
  f1 @3 :Int8;  # bits[24, 32)
  f2 @5 :UInt32;  # bits[64, 96)
  f3 @1 :UInt8;  # bits[8, 16)
  f4 @0 :Bool;  # bits[0, 1)
  f5 @2 :UInt8;  # bits[16, 24)
  f6 @4 :Int32;  # bits[32, 64)
  f7 @6 :Void;  # bits[0, 0)
}
struct S25 @0xb7cad817f3494d9e {  # 16 bytes, 1 ptrs
  f1 @2 :Float32;  # bits[32, 64)
  f2 @3 :Bool;  # bits[8, 9)
  f7 :group {
    union {  # tag bits [16, 32)
      f3 @4 :Void;  # bits[0, 0), union tag = 1
      f5 :group {  # union tag = 2
        f4 @5 :UInt64;  # bits[64, 128)
      }
      f6 @1 :Int8;  # bits[0, 8), union tag = 0
    }
  }
  f8 @0 :List(Int8);  # ptr[0]
}
struct S26 @0xb1c3d71e755d328d {  # 24 bytes, 1 ptrs
  f1 @0 :UInt64;  # bits[0, 64)
  f8 :group {
    union {  # tag bits [96, 112)
      f6 :group {  # union tag = 0
        f2 @1 :UInt16;  # bits[64, 80)
        f5 :group {
          f3 @2 :Bool;  # bits[80, 81)
          f4 @3 :Int64;  # bits[128, 192)
        }
      }
      f7 @4 :List(Int8);  # ptr[0], union tag = 1
    }
  }
}
struct S27 @0x98ee6217894f2349 {  # 32 bytes, 2 ptrs
  f10 :group {
    f8 :group {
      union {  # tag bits [96, 112)
        f3 :group {  # union tag = 2
          union {  # tag bits [128, 144)
            f1 @8 :Float64;  # bits[192, 256), union tag = 1
            f2 @5 :Bool;  # bits[64, 65), union tag = 0
          }
        }
        f5 :group {  # union tag = 0
          f4 @1 :UInt16;  # bits[64, 80)
        }
        f6 @7 :List(Int8);  # ptr[1], union tag = 3
        f7 @3 :Bool;  # bits[64, 65), union tag = 1
      }
    }
    f9 @0 :Float64;  # bits[0, 64)
  }
  f11 @6 :Bool;  # bits[112, 113)
  f12 @4 :Data;  # ptr[0]
  f13 @2 :Int16;  # bits[80, 96)
}
struct S28 @0xae8c10cd314da3dc {  # 16 bytes, 0 ptrs
  f1 @1 :Void;  # bits[0, 0)
  f3 :group {
    f2 @0 :UInt32;  # bits[0, 32)
  }
  f4 @3 :Int16;  # bits[32, 48)
  f5 @2 :UInt64;  # bits[64, 128)
}
struct S29 @0xd850bd60db869e9d {  # 8 bytes, 0 ptrs
  f1 @0 :Bool;  # bits[0, 1)
}
struct S30 @0xf07469a7a86b4f22 {  # 64 bytes, 5 ptrs
  f5 :group {
    union {  # tag bits [352, 368)
      f1 @19 :UInt64;  # bits[384, 448), union tag = 2
      f2 @5 :Void;  # bits[0, 0), union tag = 0
      f3 @15 :Int64;  # bits[384, 448), union tag = 1
      f4 @23 :Int32;  # bits[384, 416), union tag = 3
    }
  }
  f17 :group {
    f7 :group {
      f6 @1 :Int64;  # bits[0, 64)
    }
    f8 @10 :UInt64;  # bits[256, 320)
    f16 :group {
      f11 :group {
        union {  # tag bits [336, 352)
          f9 @11 :UInt8;  # bits[112, 120), union tag = 0
          f10 @14 :UInt8;  # bits[112, 120), union tag = 1
        }
      }
      f15 :group {
        f12 @21 :List(Int8);  # ptr[3]
        f13 @18 :Bool;  # bits[368, 369)
        f14 @2 :List(Int8);  # ptr[1]
      }
    }
  }
  f18 @13 :UInt16;  # bits[320, 336)
  f19 @20 :Int32;  # bits[480, 512)
  f21 :group {
    f20 @22 :Data;  # ptr[4]
  }
  f22 @12 :UInt32;  # bits[160, 192)
  f23 @6 :Void;  # bits[0, 0)
  f24 @7 :Data;  # ptr[2]
  f25 @3 :Float32;  # bits[64, 96)
  f26 @8 :Int32;  # bits[128, 160)
  f34 :group {
    f27 @9 :UInt64;  # bits[192, 256)
    f28 @4 :UInt16;  # bits[96, 112)
    f33 :group {
      f32 :group {
        f29 @17 :Float32;  # bits[448, 480)
        f30 @16 :UInt8;  # bits[120, 128)
        f31 @0 :List(Int8);  # ptr[0]
      }
    }
  }
}
struct S31 @0xd2e42851b65caa9d {  # 32 bytes, 3 ptrs
  f3 :group {
    union {  # tag bits [144, 160)
      f1 @1 :List(Int8);  # ptr[0], union tag = 0
      f2 @5 :UInt16;  # bits[160, 176), union tag = 1
    }
  }
  f6 :group {
    f4 @7 :Data;  # ptr[1]
    f5 @11 :UInt8;  # bits[136, 144)
  }
  f10 :group {
    f9 :group {
      f8 :group {
        f7 @2 :Float32;  # bits[64, 96)
      }
    }
  }
  f11 @9 :Data;  # ptr[2]
  f12 @4 :Bool;  # bits[128, 129)
  f13 @0 :Float64;  # bits[0, 64)
  f14 @6 :Bool;  # bits[129, 130)
  f19 :group {
    f16 :group {
      f15 @8 :Float64;  # bits[192, 256)
    }
    f17 @10 :Int16;  # bits[176, 192)
    f18 @3 :Int32;  # bits[96, 128)
  }
}
struct S32 @0xca1fdb20c5f31a4a {  # 64 bytes, 2 ptrs
  f1 @7 :Data;  # ptr[0]
  f2 @5 :Int8;  # bits[96, 104)
  f3 @1 :Float32;  # bits[32, 64)
  f9 :group {
    f8 :group {
      f6 :group {
        union {  # tag bits [272, 288)
          f4 @8 :Void;  # bits[0, 0), union tag = 0
          f5 @11 :UInt16;  # bits[288, 304), union tag = 1
        }
      }
      f7 @21 :Int16;  # bits[336, 352)
    }
  }
  f10 @17 :Int32;  # bits[352, 384)
  f15 :group {
    union {  # tag bits [16, 32)
      f11 @0 :UInt8;  # bits[0, 8), union tag = 0
      f12 @18 :Int8;  # bits[0, 8), union tag = 3
      f13 @4 :Float64;  # bits[128, 192), union tag = 1
      f14 @12 :Bool;  # bits[0, 1), union tag = 2
    }
  }
  f16 @20 :UInt64;  # bits[448, 512)
  f18 :group {
    f17 @19 :Float32;  # bits[384, 416)
  }
  f21 :group {
    union {  # tag bits [416, 432)
      f19 @10 :Int16;  # bits[256, 272), union tag = 0
      f20 @23 :UInt8;  # bits[256, 264), union tag = 1
    }
  }
  f22 @16 :UInt8;  # bits[320, 328)
  f31 :group {
    f29 :group {
      union {  # tag bits [112, 128)
        f25 :group {  # union tag = 1
          f23 @15 :Int16;  # bits[304, 320)
          f24 @9 :Int8;  # bits[8, 16)
        }
        f28 :group {  # union tag = 0
          f26 @2 :Bool;  # bits[8, 9)
          f27 @13 :UInt16;  # bits[304, 320)
        }
      }
    }
    f30 @6 :Int64;  # bits[192, 256)
  }
  f33 :group {
    f32 @22 :Text;  # ptr[1]
  }
  f34 @3 :Int32;  # bits[64, 96)
  f35 @14 :Int8;  # bits[104, 112)
}
struct S33 @0x89cf81bfca233628 {  # 56 bytes, 1 ptrs
  f1 @7 :UInt64;  # bits[192, 256)
  f2 @17 :UInt64;  # bits[384, 448)
  f3 @4 :UInt64;  # bits[128, 192)
  f4 @10 :Bool;  # bits[272, 273)
  f6 :group {
    f5 @9 :Float32;  # bits[288, 320)
  }
  f20 :group {
    union {  # tag bits [256, 272)
      f7 @16 :Void;  # bits[0, 0), union tag = 2
      f18 :group {  # union tag = 0
        f11 :group {
          union {  # tag bits [96, 112)
            f8 @11 :Void;  # bits[0, 0), union tag = 2
            f9 @6 :Text;  # ptr[0], union tag = 1
            f10 @2 :Data;  # ptr[0], union tag = 0
          }
        }
        f12 @0 :Bool;  # bits[0, 1)
        f17 :group {
          union {  # tag bits [16, 32)
            f13 @14 :UInt32;  # bits[64, 96), union tag = 2
            f14 @5 :Bool;  # bits[64, 65), union tag = 1
            f15 @3 :UInt32;  # bits[64, 96), union tag = 0
            f16 @15 :Void;  # bits[0, 0), union tag = 3
          }
        }
      }
      f19 @8 :Bool;  # bits[0, 1), union tag = 1
    }
  }
  f26 :group {
    f25 :group {
      f24 :group {
        f21 @1 :UInt32;  # bits[32, 64)
        f22 @12 :UInt8;  # bits[280, 288)
        f23 @13 :UInt8;  # bits[320, 328)
      }
    }
  }
}
struct S34 @0xbbd5e0df8d4e3345 {  # 48 bytes, 1 ptrs
  f17 :group {
    union {  # tag bits [80, 96)
      f10 :group {  # union tag = 0
        f3 :group {
          f1 @9 :Int64;  # bits[256, 320)
          f2 @4 :UInt64;  # bits[128, 192)
        }
        f8 :group {
          union {  # tag bits [64, 80)
            f4 @12 :Float64;  # bits[192, 256), union tag = 3
            f5 @3 :Float32;  # bits[32, 64), union tag = 1
            f6 @1 :Int32;  # bits[32, 64), union tag = 0
            f7 @8 :UInt64;  # bits[192, 256), union tag = 2
          }
        }
        f9 @11 :Int64;  # bits[320, 384)
      }
      f11 @6 :UInt16;  # bits[64, 80), union tag = 1
      f15 :group {  # union tag = 2
        f14 :group {
          union {  # tag bits [32, 48)
            f12 @10 :Float32;  # bits[128, 160), union tag = 1
            f13 @7 :Bool;  # bits[64, 65), union tag = 0
          }
        }
      }
      f16 @13 :Data;  # ptr[0], union tag = 3
    }
  }
  f19 :group {
    f18 @2 :UInt8;  # bits[16, 24)
  }
  f20 @5 :Float32;  # bits[96, 128)
  f21 @0 :UInt16;  # bits[0, 16)
}
struct S35 @0x8a9f6b13eab73747 {  # 56 bytes, 4 ptrs
  f1 @19 :UInt8;  # bits[392, 400)
  f2 @8 :UInt32;  # bits[256, 288)
  f3 @16 :Int8;  # bits[384, 392)
  f6 :group {
    f4 @3 :Int64;  # bits[64, 128)
    f5 @15 :Int64;  # bits[320, 384)
  }
  f10 :group {
    f7 @4 :Float64;  # bits[128, 192)
    f8 @12 :Void;  # bits[0, 0)
    f9 @10 :List(Int8);  # ptr[1]
  }
  f28 :group {
    f17 :group {
      union {  # tag bits [208, 224)
        f11 @11 :Text;  # ptr[2], union tag = 1
        f12 @13 :Int32;  # bits[0, 32), union tag = 2
        f16 :group {  # union tag = 0
          union {  # tag bits [0, 16)
            f13 @2 :Int32;  # bits[32, 64), union tag = 1
            f14 @6 :UInt16;  # bits[32, 48), union tag = 2
            f15 @1 :Void;  # bits[0, 0), union tag = 0
          }
        }
      }
    }
    f27 :group {
      union {  # tag bits [192, 208)
        f18 @0 :List(Int8);  # ptr[0], union tag = 0
        f22 :group {  # union tag = 2
          f19 @17 :Text;  # ptr[3]
          f20 @14 :Text;  # ptr[0]
          f21 @18 :Float32;  # bits[224, 256)
        }
        f26 :group {  # union tag = 1
          f23 @7 :Void;  # bits[0, 0)
          f24 @9 :Int32;  # bits[288, 320)
          f25 @5 :Float32;  # bits[224, 256)
        }
      }
    }
  }
}
struct S36 @0xfd2b667a64aacfee {  # 48 bytes, 1 ptrs
  f1 @12 :Int8;  # bits[352, 360)
  f2 @4 :Int64;  # bits[128, 192)
  f3 @14 :Text;  # ptr[0]
  f4 @3 :Int64;  # bits[64, 128)
  f5 @6 :UInt16;  # bits[32, 48)
  f6 @7 :UInt16;  # bits[48, 64)
  f7 @16 :Bool;  # bits[17, 18)
  f8 @11 :Int8;  # bits[24, 32)
  f12 :group {
    f9 @5 :Bool;  # bits[16, 17)
    f10 @1 :Void;  # bits[0, 0)
    f11 @9 :Int64;  # bits[256, 320)
  }
  f13 @2 :Void;  # bits[0, 0)
  f14 @8 :Float64;  # bits[192, 256)
  f15 @15 :Void;  # bits[0, 0)
  f16 @0 :UInt16;  # bits[0, 16)
  f17 @10 :UInt32;  # bits[320, 352)
  f18 @13 :UInt8;  # bits[360, 368)
}
struct S37 @0xb6151277f3128ec1 {  # 64 bytes, 2 ptrs
  f1 @6 :Bool;  # bits[160, 161)
  f2 @13 :UInt64;  # bits[320, 384)
  f10 :group {
    union {  # tag bits [176, 192)
      f8 :group {  # union tag = 0
        f7 :group {
          union {  # tag bits [128, 144)
            f3 @3 :Bool;  # bits[144, 145), union tag = 1
            f4 @4 :Data;  # ptr[0], union tag = 2
            f5 @2 :Void;  # bits[0, 0), union tag = 0
            f6 @8 :Float64;  # bits[192, 256), union tag = 3
          }
        }
      }
      f9 @12 :Bool;  # bits[128, 129), union tag = 1
    }
  }
  f11 @17 :Int32;  # bits[288, 320)
  f26 :group {
    union {  # tag bits [448, 464)
      f24 :group {  # union tag = 0
        union {  # tag bits [32, 48)
          f12 @1 :UInt64;  # bits[64, 128), union tag = 1
          f16 :group {  # union tag = 0
            union {  # tag bits [64, 80)
              f13 @0 :UInt32;  # bits[0, 32), union tag = 0
              f14 @10 :List(Int8);  # ptr[1], union tag = 1
              f15 @11 :Bool;  # bits[0, 1), union tag = 2
            }
          }
          f20 :group {  # union tag = 3
            union {  # tag bits [64, 80)
              f17 @7 :Int32;  # bits[0, 32), union tag = 0
              f18 @15 :Float64;  # bits[384, 448), union tag = 1
              f19 @16 :List(Int8);  # ptr[1], union tag = 2
            }
          }
          f23 :group {  # union tag = 2
            union {  # tag bits [16, 32)
              f21 @5 :Int16;  # bits[0, 16), union tag = 0
              f22 @14 :Int16;  # bits[0, 16), union tag = 1
            }
          }
        }
      }
      f25 @18 :Int64;  # bits[0, 64), union tag = 1
    }
  }
  f27 @9 :Float32;  # bits[256, 288)
}
struct S38 @0xec77c41327b5e859 {  # 24 bytes, 1 ptrs
  f6 :group {
    f3 :group {
      union {  # tag bits [96, 112)
        f1 @2 :Float32;  # bits[64, 96), union tag = 0
        f2 @3 :Float64;  # bits[128, 192), union tag = 1
      }
    }
    f4 @1 :Int64;  # bits[0, 64)
    f5 @0 :Text;  # ptr[0]
  }
}
struct S39 @0xe97b39eaff1e0bb6 {  # 16 bytes, 0 ptrs
  f1 @1 :UInt64;  # bits[64, 128)
  f2 @0 :Int32;  # bits[0, 32)
}
struct S40 @0x9326fd96741ca484 {  # 56 bytes, 2 ptrs
  f1 @4 :Int32;  # bits[96, 128)
  f2 @2 :UInt8;  # bits[32, 40)
  f3 @6 :UInt32;  # bits[192, 224)
  f4 @8 :Data;  # ptr[1]
  f5 @17 :Float32;  # bits[352, 384)
  f6 @22 :Float64;  # bits[384, 448)
  f7 @14 :UInt16;  # bits[48, 64)
  f10 :group {
    union {  # tag bits [336, 352)
      f8 @16 :Bool;  # bits[224, 225), union tag = 1
      f9 @13 :UInt32;  # bits[224, 256), union tag = 0
    }
  }
  f11 @12 :Float64;  # bits[256, 320)
  f30 :group {
    union {  # tag bits [320, 336)
      f12 @15 :Int64;  # bits[128, 192), union tag = 1
      f29 :group {  # union tag = 0
        union {  # tag bits [0, 16)
          f15 :group {  # union tag = 2
            union {  # tag bits [16, 32)
              f13 @3 :Int32;  # bits[64, 96), union tag = 0
              f14 @21 :Int8;  # bits[64, 72), union tag = 1
            }
          }
          f19 :group {  # union tag = 3
            union {  # tag bits [16, 32)
              f16 @5 :Int64;  # bits[128, 192), union tag = 0
              f17 @9 :Int64;  # bits[128, 192), union tag = 1
              f18 @11 :Int64;  # bits[128, 192), union tag = 2
            }
          }
          f24 :group {  # union tag = 1
            union {  # tag bits [64, 80)
              f20 @19 :Float32;  # bits[128, 160), union tag = 2
              f21 @7 :Data;  # ptr[0], union tag = 1
              f22 @20 :UInt8;  # bits[16, 24), union tag = 3
              f23 @1 :Int16;  # bits[16, 32), union tag = 0
            }
          }
          f28 :group {  # union tag = 0
            f25 @18 :Float32;  # bits[64, 96)
            f26 @10 :Void;  # bits[0, 0)
            f27 @0 :Data;  # ptr[0]
          }
        }
      }
    }
  }
}
struct S41 @0x9bd5d3b6ee6197dc {  # 40 bytes, 1 ptrs
  f1 @10 :Text;  # ptr[0]
  f12 :group {
    union {  # tag bits [16, 32)
      f9 :group {  # union tag = 1
        union {  # tag bits [192, 208)
          f5 :group {  # union tag = 0
            union {  # tag bits [32, 48)
              f2 @1 :Int16;  # bits[0, 16), union tag = 0
              f3 @2 :Int32;  # bits[64, 96), union tag = 1
              f4 @4 :UInt32;  # bits[64, 96), union tag = 2
            }
          }
          f6 @11 :Float32;  # bits[64, 96), union tag = 3
          f7 @9 :Int8;  # bits[0, 8), union tag = 2
          f8 @8 :Int64;  # bits[256, 320), union tag = 1
        }
      }
      f10 @7 :Bool;  # bits[0, 1), union tag = 2
      f11 @0 :Int8;  # bits[0, 8), union tag = 0
    }
  }
  f17 :group {
    f15 :group {
      f13 @5 :Bool;  # bits[48, 49)
      f14 @3 :Float64;  # bits[128, 192)
    }
    f16 @6 :Int32;  # bits[96, 128)
  }
}
struct S42 @0xcc7a6a4da36fddec {  # 24 bytes, 1 ptrs
  f1 @8 :UInt16;  # bits[160, 176)
  f2 @1 :UInt8;  # bits[64, 72)
  f3 @2 :UInt16;  # bits[80, 96)
  f10 :group {
    union {  # tag bits [128, 144)
      f4 @3 :UInt32;  # bits[96, 128), union tag = 0
      f7 :group {  # union tag = 2
        union {  # tag bits [144, 160)
          f5 @5 :Int32;  # bits[96, 128), union tag = 0
          f6 @6 :Int32;  # bits[96, 128), union tag = 1
        }
      }
      f8 @4 :Int16;  # bits[96, 112), union tag = 1
      f9 @7 :Text;  # ptr[0], union tag = 3
    }
  }
  f11 @0 :Int64;  # bits[0, 64)
}
struct S43 @0xe2aa298b22aa8680 {  # 8 bytes, 0 ptrs
  f7 :group {
    union {  # tag bits [16, 32)
      f5 :group {  # union tag = 1
        union {  # tag bits [0, 16)
          f1 @1 :Float32;  # bits[32, 64), union tag = 0
          f2 @3 :UInt8;  # bits[32, 40), union tag = 2
          f3 @2 :UInt8;  # bits[32, 40), union tag = 1
          f4 @4 :Int32;  # bits[32, 64), union tag = 3
        }
      }
      f6 @0 :Int8;  # bits[0, 8), union tag = 0
    }
  }
}
struct S44 @0xc6be79248e4b3afd {  # 56 bytes, 2 ptrs
  f2 :group {
    f1 @13 :Data;  # ptr[1]
  }
  f3 @5 :Int16;  # bits[32, 48)
  f14 :group {
    f4 @4 :Int64;  # bits[192, 256)
    f13 :group {
      union {  # tag bits [48, 64)
        f8 :group {  # union tag = 1
          union {  # tag bits [16, 32)
            f5 @9 :List(Int8);  # ptr[0], union tag = 1
            f6 @7 :UInt64;  # bits[128, 192), union tag = 0
            f7 @12 :UInt32;  # bits[128, 160), union tag = 2
          }
        }
        f12 :group {  # union tag = 0
          union {  # tag bits [16, 32)
            f9 @6 :List(Int8);  # ptr[0], union tag = 2
            f10 @3 :UInt64;  # bits[128, 192), union tag = 1
            f11 @1 :Bool;  # bits[1, 2), union tag = 0
          }
        }
      }
    }
  }
  f15 @15 :UInt32;  # bits[288, 320)
  f16 @0 :Bool;  # bits[0, 1)
  f26 :group {
    union {  # tag bits [256, 272)
      f17 @2 :Int64;  # bits[64, 128), union tag = 0
      f21 :group {  # union tag = 2
        f18 @10 :Int16;  # bits[64, 80)
        f19 @14 :Int64;  # bits[320, 384)
        f20 @17 :UInt64;  # bits[384, 448)
      }
      f25 :group {  # union tag = 1
        f22 @16 :UInt64;  # bits[320, 384)
        f23 @8 :UInt8;  # bits[64, 72)
        f24 @11 :Float32;  # bits[96, 128)
      }
    }
  }
}
struct S45 @0x8ce1a785b6c59743 {  # 24 bytes, 3 ptrs
  f1 @3 :List(Int8);  # ptr[1]
  f2 @0 :Int64;  # bits[0, 64)
  f3 @7 :Bool;  # bits[65, 66)
  f12 :group {
    union {  # tag bits [80, 96)
      f4 @6 :Float64;  # bits[128, 192), union tag = 2
      f7 :group {  # union tag = 1
        union {  # tag bits [128, 144)
          f5 @4 :List(Int8);  # ptr[0], union tag = 0
          f6 @8 :Float32;  # bits[160, 192), union tag = 1
        }
      }
      f11 :group {  # union tag = 0
        f8 @5 :Text;  # ptr[2]
        f9 @2 :Bool;  # bits[64, 65)
        f10 @1 :Text;  # ptr[0]
      }
    }
  }
}
struct S46 @0xe0a5f3d3411e9e34 {  # 8 bytes, 0 ptrs
  f1 @1 :Int16;  # bits[16, 32)
  f2 @0 :Int16;  # bits[0, 16)
  f3 @2 :Void;  # bits[0, 0)
}
struct S47 @0xafac7d5c940cf387 {  # 40 bytes, 4 ptrs
  f1 @12 :Bool;  # bits[145, 146)
  f2 @9 :Bool;  # bits[144, 145)
  f3 @10 :UInt64;  # bits[192, 256)
  f4 @5 :Int64;  # bits[64, 128)
  f5 @13 :Text;  # ptr[3]
  f6 @3 :List(Int8);  # ptr[1]
  f7 @7 :UInt8;  # bits[136, 144)
  f10 :group {
    f8 @1 :Void;  # bits[0, 0)
    f9 @4 :Int32;  # bits[32, 64)
  }
  f11 @2 :Data;  # ptr[0]
  f12 @6 :UInt8;  # bits[128, 136)
  f13 @14 :Float32;  # bits[160, 192)
  f14 @8 :Text;  # ptr[2]
  f15 @0 :Int32;  # bits[0, 32)
  f16 @11 :Float64;  # bits[256, 320)
}
struct S48 @0xefb97551f46901ce {  # 24 bytes, 0 ptrs
  f1 @1 :UInt16;  # bits[16, 32)
  f2 @3 :UInt32;  # bits[32, 64)
  f3 @8 :Int32;  # bits[128, 160)
  f4 @6 :Int32;  # bits[96, 128)
  f5 @4 :Int8;  # bits[64, 72)
  f6 @0 :Bool;  # bits[0, 1)
  f7 @7 :Bool;  # bits[1, 2)
  f8 @5 :UInt8;  # bits[72, 80)
  f9 @2 :Int8;  # bits[8, 16)
}
struct S49 @0x8c563566d459cd88 {  # 40 bytes, 2 ptrs
  f1 @16 :Int8;  # bits[200, 208)
  f2 @3 :Text;  # ptr[0]
  f3 @14 :Bool;  # bits[192, 193)
  f4 @12 :UInt16;  # bits[176, 192)
  f5 @5 :Float32;  # bits[96, 128)
  f18 :group {
    union {  # tag bits [128, 144)
      f6 @6 :Void;  # bits[0, 0), union tag = 1
      f7 @9 :Int8;  # bits[0, 8), union tag = 2
      f16 :group {  # union tag = 0
        union {  # tag bits [16, 32)
          f8 @7 :Float32;  # bits[32, 64), union tag = 2
          f9 @17 :Bool;  # bits[0, 1), union tag = 3
          f10 @1 :Float32;  # bits[32, 64), union tag = 1
          f15 :group {  # union tag = 0
            union {  # tag bits [32, 48)
              f11 @2 :Int8;  # bits[0, 8), union tag = 1
              f12 @20 :Int32;  # bits[224, 256), union tag = 3
              f13 @0 :UInt16;  # bits[0, 16), union tag = 0
              f14 @15 :Void;  # bits[0, 0), union tag = 2
            }
          }
        }
      }
      f17 @11 :Data;  # ptr[1], union tag = 3
    }
  }
  f21 :group {
    union {  # tag bits [160, 176)
      f19 @8 :Bool;  # bits[144, 145), union tag = 0
      f20 @10 :Int16;  # bits[144, 160), union tag = 1
    }
  }
  f25 :group {
    union {  # tag bits [208, 224)
      f22 @18 :Float64;  # bits[256, 320), union tag = 1
      f23 @19 :UInt32;  # bits[64, 96), union tag = 2
      f24 @4 :UInt32;  # bits[64, 96), union tag = 0
    }
  }
  f26 @13 :Void;  # bits[0, 0)
}
struct S50 @0xf5ff4cac87c5f744 {  # 8 bytes, 0 ptrs
  f1 @0 :UInt8;  # bits[0, 8)
}
struct S51 @0xb6735e22bd889851 {  # 40 bytes, 1 ptrs
  f19 :group {
    f6 :group {
      union {  # tag bits [272, 288)
        f1 @15 :Bool;  # bits[256, 257), union tag = 1
        f5 :group {  # union tag = 0
          union {  # tag bits [256, 272)
            f2 @13 :UInt64;  # bits[0, 64), union tag = 2
            f3 @0 :Float64;  # bits[0, 64), union tag = 0
            f4 @12 :UInt64;  # bits[0, 64), union tag = 1
          }
        }
      }
    }
    f17 :group {
      union {  # tag bits [96, 112)
        f7 @14 :Int32;  # bits[64, 96), union tag = 3
        f11 :group {  # union tag = 0
          union {  # tag bits [80, 96)
            f8 @1 :Bool;  # bits[64, 65), union tag = 0
            f9 @2 :UInt8;  # bits[64, 72), union tag = 1
            f10 @6 :UInt32;  # bits[128, 160), union tag = 2
          }
        }
        f15 :group {  # union tag = 2
          union {  # tag bits [80, 96)
            f12 @7 :UInt8;  # bits[64, 72), union tag = 1
            f13 @10 :Bool;  # bits[64, 65), union tag = 2
            f14 @5 :Int8;  # bits[64, 72), union tag = 0
          }
        }
        f16 @3 :Text;  # ptr[0], union tag = 1
      }
    }
    f18 @4 :Int8;  # bits[112, 120)
  }
  f22 :group {
    f20 @11 :Int32;  # bits[160, 192)
    f21 @9 :UInt8;  # bits[120, 128)
  }
  f23 @8 :Int64;  # bits[192, 256)
}
struct S52 @0x9725896dcd6d6ee4 {  # 32 bytes, 2 ptrs
  f1 @5 :List(Int8);  # ptr[0]
  f2 @8 :Int32;  # bits[160, 192)
  f3 @3 :Float32;  # bits[32, 64)
  f15 :group {
    union {  # tag bits [128, 144)
      f13 :group {  # union tag = 0
        union {  # tag bits [16, 32)
          f4 @10 :Data;  # ptr[1], union tag = 3
          f7 :group {  # union tag = 2
            f5 @6 :Bool;  # bits[0, 1)
            f6 @4 :Int64;  # bits[64, 128)
          }
          f11 :group {  # union tag = 0
            f8 @9 :UInt64;  # bits[192, 256)
            f9 @2 :UInt16;  # bits[64, 80)
            f10 @0 :Bool;  # bits[0, 1)
          }
          f12 @1 :Int64;  # bits[64, 128), union tag = 1
        }
      }
      f14 @7 :Data;  # ptr[1], union tag = 1
    }
  }
}
struct S53 @0xcfae01e66da64854 {  # 16 bytes, 1 ptrs
  f17 :group {
    union {  # tag bits [0, 16)
      f8 :group {  # union tag = 1
        union {  # tag bits [48, 64)
          f1 @11 :Int64;  # bits[64, 128), union tag = 2
          f2 @6 :Int8;  # bits[16, 24), union tag = 1
          f7 :group {  # union tag = 0
            union {  # tag bits [32, 48)
              f3 @1 :UInt8;  # bits[16, 24), union tag = 0
              f4 @7 :Bool;  # bits[16, 17), union tag = 2
              f5 @5 :UInt64;  # bits[64, 128), union tag = 1
              f6 @9 :Void;  # bits[0, 0), union tag = 3
            }
          }
        }
      }
      f16 :group {  # union tag = 0
        union {  # tag bits [16, 32)
          f9 @2 :Void;  # bits[0, 0), union tag = 1
          f10 @8 :Void;  # bits[0, 0), union tag = 3
          f14 :group {  # union tag = 0
            union {  # tag bits [32, 48)
              f11 @0 :Void;  # bits[0, 0), union tag = 0
              f12 @3 :Float64;  # bits[64, 128), union tag = 1
              f13 @10 :UInt64;  # bits[64, 128), union tag = 2
            }
          }
          f15 @4 :Text;  # ptr[0], union tag = 2
        }
      }
    }
  }
}
struct S54 @0xe9d1d07a40cd0da6 {  # 16 bytes, 0 ptrs
  f1 @0 :UInt64;  # bits[0, 64)
  f2 @1 :Float64;  # bits[64, 128)
}
struct S55 @0xec381f24889453e4 {  # 8 bytes, 0 ptrs
  f1 @0 :Int8;  # bits[0, 8)
}
struct S56 @0xab9f1efc563b7eaf {  # 48 bytes, 2 ptrs
  f1 @11 :Float32;  # bits[256, 288)
  f2 @4 :Int32;  # bits[192, 224)
  f3 @7 :List(Int8);  # ptr[1]
  f7 :group {
    union {  # tag bits [32, 48)
      f4 @12 :Float64;  # bits[64, 128), union tag = 2
      f5 @2 :UInt64;  # bits[64, 128), union tag = 1
      f6 @0 :Void;  # bits[0, 0), union tag = 0
    }
  }
  f28 :group {
    union {  # tag bits [224, 240)
      f23 :group {  # union tag = 0
        union {  # tag bits [48, 64)
          f8 @9 :Float32;  # bits[0, 32), union tag = 3
          f13 :group {  # union tag = 0
            union {  # tag bits [128, 144)
              f9 @16 :Float64;  # bits[320, 384), union tag = 3
              f10 @1 :Int32;  # bits[0, 32), union tag = 0
              f11 @15 :Void;  # bits[0, 0), union tag = 2
              f12 @8 :Text;  # ptr[0], union tag = 1
            }
          }
          f17 :group {  # union tag = 1
            union {  # tag bits [0, 16)
              f14 @10 :Text;  # ptr[0], union tag = 1
              f15 @3 :Int64;  # bits[128, 192), union tag = 0
              f16 @13 :List(Int8);  # ptr[0], union tag = 2
            }
          }
          f22 :group {  # union tag = 2
            union {  # tag bits [16, 32)
              f18 @18 :List(Int8);  # ptr[0], union tag = 2
              f19 @19 :UInt32;  # bits[128, 160), union tag = 3
              f20 @6 :UInt8;  # bits[0, 8), union tag = 0
              f21 @17 :Int64;  # bits[128, 192), union tag = 1
            }
          }
        }
      }
      f25 :group {  # union tag = 3
        f24 @20 :Int32;  # bits[0, 32)
      }
      f26 @5 :Data;  # ptr[0], union tag = 1
      f27 @14 :Bool;  # bits[48, 49), union tag = 2
    }
  }
}
struct S57 @0x8843062d4518db99 {  # 24 bytes, 0 ptrs
  f1 @6 :UInt8;  # bits[40, 48)
  f2 @5 :Int64;  # bits[128, 192)
  f3 @2 :Int8;  # bits[32, 40)
  f8 :group {
    union {  # tag bits [16, 32)
      f4 @0 :Int16;  # bits[0, 16), union tag = 0
      f5 @1 :Float64;  # bits[64, 128), union tag = 1
      f6 @3 :UInt64;  # bits[64, 128), union tag = 2
      f7 @4 :Float64;  # bits[64, 128), union tag = 3
    }
  }
}
struct S58 @0xb75c454508745c35 {  # 24 bytes, 1 ptrs
  f1 @3 :Int8;  # bits[32, 40)
  f2 @6 :Bool;  # bits[48, 49)
  f3 @5 :UInt64;  # bits[64, 128)
  f11 :group {
    union {  # tag bits [0, 16)
      f9 :group {  # union tag = 0
        union {  # tag bits [16, 32)
          f4 @0 :Text;  # ptr[0], union tag = 0
          f7 :group {  # union tag = 2
            union {  # tag bits [128, 144)
              f5 @4 :UInt8;  # bits[40, 48), union tag = 0
              f6 @7 :Int8;  # bits[40, 48), union tag = 1
            }
          }
          f8 @2 :List(Int8);  # ptr[0], union tag = 1
        }
      }
      f10 @1 :Bool;  # bits[16, 17), union tag = 1
    }
  }
}
struct S59 @0xb2c9fde2f446e374 {  # 48 bytes, 3 ptrs
  f1 @3 :Text;  # ptr[1]
  f2 @11 :Float32;  # bits[352, 384)
  f5 :group {
    f3 @1 :Data;  # ptr[0]
    f4 @4 :UInt64;  # bits[128, 192)
  }
  f6 @2 :UInt32;  # bits[64, 96)
  f9 :group {
    f7 @0 :Float64;  # bits[0, 64)
    f8 @7 :Float64;  # bits[192, 256)
  }
  f10 @5 :Text;  # ptr[2]
  f11 @6 :Void;  # bits[0, 0)
  f15 :group {
    f12 @10 :UInt32;  # bits[320, 352)
    f13 @8 :Float64;  # bits[256, 320)
    f14 @9 :UInt16;  # bits[96, 112)
  }
}
struct S60 @0x8d08bb095c922aec {  # 56 bytes, 2 ptrs
  f11 :group {
    union {  # tag bits [16, 32)
      f1 @3 :Float64;  # bits[64, 128), union tag = 1
      f6 :group {  # union tag = 0
        f5 :group {
          f2 @2 :UInt64;  # bits[64, 128)
          f3 @19 :Int32;  # bits[384, 416)
          f4 @1 :UInt32;  # bits[32, 64)
        }
      }
      f9 :group {  # union tag = 3
        f7 @18 :Float32;  # bits[32, 64)
        f8 @12 :List(Int8);  # ptr[1]
      }
      f10 @10 :UInt8;  # bits[32, 40), union tag = 2
    }
  }
  f28 :group {
    union {  # tag bits [160, 176)
      f13 :group {  # union tag = 3
        f12 @15 :Float32;  # bits[192, 224)
      }
      f20 :group {  # union tag = 1
        union {  # tag bits [0, 16)
          f18 :group {  # union tag = 1
            union {  # tag bits [224, 240)
              f14 @14 :Bool;  # bits[192, 193), union tag = 3
              f15 @7 :Float32;  # bits[192, 224), union tag = 0
              f16 @8 :Text;  # ptr[0], union tag = 1
              f17 @13 :UInt8;  # bits[192, 200), union tag = 2
            }
          }
          f19 @5 :Float64;  # bits[192, 256), union tag = 0
        }
      }
      f26 :group {  # union tag = 0
        union {  # tag bits [192, 208)
          f21 @16 :Int64;  # bits[256, 320), union tag = 2
          f22 @0 :Bool;  # bits[0, 1), union tag = 0
          f25 :group {  # union tag = 1
            f23 @21 :Int8;  # bits[256, 264)
            f24 @9 :List(Int8);  # ptr[0]
          }
        }
      }
      f27 @6 :Int16;  # bits[192, 208), union tag = 2
    }
  }
  f29 @20 :UInt8;  # bits[416, 424)
  f34 :group {
    f33 :group {
      f30 @4 :Float32;  # bits[128, 160)
      f31 @17 :Float64;  # bits[320, 384)
      f32 @11 :UInt16;  # bits[176, 192)
    }
  }
}
struct S61 @0xed78fc4e1c586e82 {  # 8 bytes, 0 ptrs
  f1 @0 :Bool;  # bits[0, 1)
}
struct S62 @0xc15b47e2aa82fbbc {  # 48 bytes, 5 ptrs
  f1 @5 :Data;  # ptr[0]
  f3 :group {
    f2 @9 :Int64;  # bits[128, 192)
  }
  f4 @8 :Text;  # ptr[2]
  f5 @10 :UInt32;  # bits[192, 224)
  f8 :group {
    f6 @4 :UInt8;  # bits[8, 16)
    f7 @3 :UInt16;  # bits[16, 32)
  }
  f9 @14 :Float32;  # bits[320, 352)
  f16 :group {
    union {  # tag bits [224, 240)
      f14 :group {  # union tag = 0
        f13 :group {
          union {  # tag bits [48, 64)
            f10 @7 :Text;  # ptr[1], union tag = 1
            f11 @1 :Void;  # bits[0, 0), union tag = 0
            f12 @16 :Data;  # ptr[1], union tag = 2
          }
        }
      }
      f15 @11 :Text;  # ptr[1], union tag = 1
    }
  }
  f17 @15 :List(Int8);  # ptr[3]
  f22 :group {
    union {  # tag bits [352, 368)
      f18 @17 :List(Int8);  # ptr[4], union tag = 1
      f21 :group {  # union tag = 0
        union {  # tag bits [240, 256)
          f19 @6 :UInt16;  # bits[32, 48), union tag = 0
          f20 @13 :Bool;  # bits[32, 33), union tag = 1
        }
      }
    }
  }
  f23 @2 :Int64;  # bits[64, 128)
  f24 @12 :Float64;  # bits[256, 320)
  f25 @18 :Int8;  # bits[368, 376)
  f26 @0 :Bool;  # bits[0, 1)
}
struct S63 @0xf2c10f5d6eb59a69 {  # 48 bytes, 3 ptrs
  f1 @3 :Data;  # ptr[1]
  f7 :group {
    union {  # tag bits [16, 32)
      f2 @1 :Text;  # ptr[0], union tag = 0
      f6 :group {  # union tag = 1
        union {  # tag bits [32, 48)
          f3 @4 :Data;  # ptr[0], union tag = 1
          f4 @2 :UInt8;  # bits[8, 16), union tag = 0
          f5 @15 :UInt8;  # bits[8, 16), union tag = 2
        }
      }
    }
  }
  f16 :group {
    union {  # tag bits [48, 64)
      f9 :group {  # union tag = 1
        f8 @5 :UInt64;  # bits[64, 128)
      }
      f10 @0 :UInt8;  # bits[0, 8), union tag = 0
      f15 :group {  # union tag = 2
        f12 :group {
          f11 @11 :Int32;  # bits[64, 96)
        }
        f14 :group {
          f13 @8 :UInt8;  # bits[0, 8)
        }
      }
    }
  }
  f17 @13 :Int32;  # bits[256, 288)
  f18 @17 :Bool;  # bits[184, 185)
  f29 :group {
    union {  # tag bits [160, 176)
      f19 @7 :Text;  # ptr[2], union tag = 1
      f28 :group {  # union tag = 0
        f23 :group {
          union {  # tag bits [304, 320)
            f20 @20 :UInt16;  # bits[128, 144), union tag = 2
            f21 @18 :Bool;  # bits[128, 129), union tag = 1
            f22 @6 :Float32;  # bits[128, 160), union tag = 0
          }
        }
        f27 :group {
          union {  # tag bits [288, 304)
            f24 @19 :Bool;  # bits[192, 193), union tag = 2
            f25 @9 :UInt32;  # bits[192, 224), union tag = 0
            f26 @16 :Bool;  # bits[192, 193), union tag = 1
          }
        }
      }
    }
  }
  f33 :group {
    f31 :group {
      f30 @14 :Int64;  # bits[320, 384)
    }
    f32 @10 :Int8;  # bits[176, 184)
  }
  f34 @12 :Float32;  # bits[224, 256)
}
struct S64 @0xcba514e82092edcf {  # 16 bytes, 1 ptrs
  f11 :group {
    f10 :group {
      union {  # tag bits [0, 16)
        f2 :group {  # union tag = 1
          f1 @1 :Int64;  # bits[64, 128)
        }
        f3 @5 :Data;  # ptr[0], union tag = 3
        f8 :group {  # union tag = 0
          union {  # tag bits [64, 80)
            f4 @2 :Int16;  # bits[80, 96), union tag = 1
            f5 @0 :Data;  # ptr[0], union tag = 0
            f6 @3 :Bool;  # bits[80, 81), union tag = 2
            f7 @6 :Int8;  # bits[80, 88), union tag = 3
          }
        }
        f9 @4 :UInt8;  # bits[64, 72), union tag = 2
      }
    }
  }
}
struct S65 @0x8cbe30f9b49b88de {  # 40 bytes, 0 ptrs
  f8 :group {
    f6 :group {
      union {  # tag bits [176, 192)
        f4 :group {  # union tag = 0
          union {  # tag bits [48, 64)
            f1 @1 :Int8;  # bits[32, 40), union tag = 0
            f2 @5 :Int32;  # bits[96, 128), union tag = 2
            f3 @2 :Bool;  # bits[32, 33), union tag = 1
          }
        }
        f5 @10 :Float32;  # bits[32, 64), union tag = 1
      }
    }
    f7 @9 :Int64;  # bits[192, 256)
  }
  f9 @8 :UInt16;  # bits[160, 176)
  f10 @0 :Int32;  # bits[0, 32)
  f11 @7 :Int32;  # bits[128, 160)
  f12 @6 :Void;  # bits[0, 0)
  f14 :group {
    f13 @4 :UInt16;  # bits[80, 96)
  }
  f15 @11 :Int32;  # bits[256, 288)
  f16 @3 :Int16;  # bits[64, 80)
}
struct S66 @0xd9bba67ce9a3aae7 {  # 8 bytes, 0 ptrs
  f1 @2 :Int8;  # bits[32, 40)
  f8 :group {
    f7 :group {
      union {  # tag bits [48, 64)
        f4 :group {  # union tag = 0
          union {  # tag bits [16, 32)
            f2 @0 :Bool;  # bits[0, 1), union tag = 0
            f3 @1 :Bool;  # bits[0, 1), union tag = 1
          }
        }
        f5 @4 :Int8;  # bits[0, 8), union tag = 2
        f6 @3 :Int16;  # bits[0, 16), union tag = 1
      }
    }
  }
}
struct S67 @0xbedc2c8698f7a997 {  # 24 bytes, 0 ptrs
  f1 @2 :Int16;  # bits[16, 32)
  f2 @4 :Int64;  # bits[128, 192)
  f3 @0 :Int8;  # bits[0, 8)
  f4 @1 :UInt32;  # bits[32, 64)
  f5 @3 :Int32;  # bits[64, 96)
}
struct S68 @0xf252d3cfe19dcb7f {  # 32 bytes, 2 ptrs
  f3 :group {
    f1 @3 :UInt64;  # bits[0, 64)
    f2 @4 :Float64;  # bits[64, 128)
  }
  f4 @7 :Int32;  # bits[192, 224)
  f5 @6 :UInt64;  # bits[128, 192)
  f6 @1 :Text;  # ptr[0]
  f7 @5 :Void;  # bits[0, 0)
  f8 @0 :Void;  # bits[0, 0)
  f9 @2 :List(Int8);  # ptr[1]
}
struct S69 @0x84896add60f41143 {  # 40 bytes, 1 ptrs
  f2 :group {
    f1 @6 :Int16;  # bits[192, 208)
  }
  f3 @9 :Data;  # ptr[0]
  f4 @4 :Int32;  # bits[128, 160)
  f14 :group {
    union {  # tag bits [96, 112)
      f5 @7 :Float64;  # bits[0, 64), union tag = 2
      f6 @2 :Int16;  # bits[0, 16), union tag = 1
      f12 :group {  # union tag = 0
        f7 @5 :Float32;  # bits[160, 192)
        f11 :group {
          union {  # tag bits [112, 128)
            f8 @3 :Float64;  # bits[0, 64), union tag = 1
            f9 @0 :UInt64;  # bits[0, 64), union tag = 0
            f10 @12 :UInt16;  # bits[0, 16), union tag = 2
          }
        }
      }
      f13 @10 :Int16;  # bits[112, 128), union tag = 3
    }
  }
  f20 :group {
    f19 :group {
      union {  # tag bits [240, 256)
        f17 :group {  # union tag = 0
          union {  # tag bits [224, 240)
            f15 @11 :UInt32;  # bits[256, 288), union tag = 1
            f16 @8 :Int8;  # bits[208, 216), union tag = 0
          }
        }
        f18 @13 :Float64;  # bits[256, 320), union tag = 1
      }
    }
  }
  f21 @1 :UInt32;  # bits[64, 96)
}
struct S70 @0xd1cacef093cfae3c {  # 56 bytes, 2 ptrs
  f11 :group {
    union {  # tag bits [32, 48)
      f7 :group {  # union tag = 0
        union {  # tag bits [192, 208)
          f1 @13 :UInt8;  # bits[224, 232), union tag = 2
          f2 @2 :Data;  # ptr[0], union tag = 0
          f6 :group {  # union tag = 1
            union {  # tag bits [208, 224)
              f3 @16 :Void;  # bits[0, 0), union tag = 2
              f4 @10 :UInt32;  # bits[224, 256), union tag = 0
              f5 @14 :Bool;  # bits[224, 225), union tag = 1
            }
          }
        }
      }
      f8 @8 :Int16;  # bits[192, 208), union tag = 2
      f9 @9 :UInt32;  # bits[192, 224), union tag = 3
      f10 @5 :Int32;  # bits[192, 224), union tag = 1
    }
  }
  f22 :group {
    f16 :group {
      union {  # tag bits [48, 64)
        f12 @4 :Bool;  # bits[16, 17), union tag = 0
        f13 @18 :Float64;  # bits[320, 384), union tag = 3
        f14 @11 :Float32;  # bits[256, 288), union tag = 1
        f15 @12 :UInt32;  # bits[256, 288), union tag = 2
      }
    }
    f20 :group {
      f17 @6 :Bool;  # bits[17, 18)
      f18 @19 :Float32;  # bits[384, 416)
      f19 @0 :UInt16;  # bits[0, 16)
    }
    f21 @17 :Bool;  # bits[18, 19)
  }
  f27 :group {
    union {  # tag bits [288, 304)
      f23 @3 :Int64;  # bits[128, 192), union tag = 0
      f24 @15 :Int64;  # bits[128, 192), union tag = 1
      f25 @20 :Float32;  # bits[128, 160), union tag = 2
      f26 @21 :Int16;  # bits[128, 144), union tag = 3
    }
  }
  f28 @7 :List(Int8);  # ptr[1]
  f29 @1 :UInt64;  # bits[64, 128)
}
struct S71 @0xf2f07ab1eb586ddd {  # 40 bytes, 3 ptrs
  f1 @6 :Text;  # ptr[2]
  f2 @1 :UInt64;  # bits[0, 64)
  f6 :group {
    union {  # tag bits [128, 144)
      f3 @10 :List(Int8);  # ptr[1], union tag = 2
      f4 @4 :Text;  # ptr[1], union tag = 0
      f5 @5 :UInt32;  # bits[160, 192), union tag = 1
    }
  }
  f15 :group {
    f7 @14 :Int64;  # bits[256, 320)
    f8 @12 :Int8;  # bits[152, 160)
    f14 :group {
      f13 :group {
        union {  # tag bits [80, 96)
          f9 @9 :Float32;  # bits[96, 128), union tag = 3
          f10 @7 :Float32;  # bits[96, 128), union tag = 2
          f11 @3 :Int32;  # bits[96, 128), union tag = 1
          f12 @2 :Int8;  # bits[64, 72), union tag = 0
        }
      }
    }
  }
  f16 @0 :Text;  # ptr[0]
  f17 @8 :Int8;  # bits[72, 80)
  f18 @13 :Int16;  # bits[192, 208)
  f19 @11 :Int8;  # bits[144, 152)
}
struct S72 @0x8c603872f1c97501 {  # 40 bytes, 2 ptrs
  f1 @6 :Text;  # ptr[1]
  f2 @11 :Int64;  # bits[256, 320)
  f15 :group {
    union {  # tag bits [160, 176)
      f3 @5 :Text;  # ptr[0], union tag = 1
      f6 :group {  # union tag = 2
        union {  # tag bits [32, 48)
          f4 @12 :Int32;  # bits[64, 96), union tag = 1
          f5 @9 :Float64;  # bits[64, 128), union tag = 0
        }
      }
      f14 :group {  # union tag = 0
        union {  # tag bits [48, 64)
          f10 :group {  # union tag = 1
            f7 @7 :UInt8;  # bits[32, 40)
            f8 @8 :Int32;  # bits[192, 224)
            f9 @2 :Int64;  # bits[64, 128)
          }
          f11 @10 :Float64;  # bits[64, 128), union tag = 3
          f12 @1 :UInt8;  # bits[32, 40), union tag = 0
          f13 @4 :Float64;  # bits[64, 128), union tag = 2
        }
      }
    }
  }
  f16 @0 :UInt32;  # bits[0, 32)
  f17 @3 :UInt32;  # bits[128, 160)
}
struct S73 @0xc85dd76dd0f529c5 {  # 32 bytes, 2 ptrs
  f1 @6 :Bool;  # bits[88, 89)
  f2 @7 :Bool;  # bits[89, 90)
  f13 :group {
    union {  # tag bits [32, 48)
      f10 :group {  # union tag = 1
        union {  # tag bits [16, 32)
          f5 :group {  # union tag = 0
            f3 @9 :Int32;  # bits[96, 128)
            f4 @3 :UInt16;  # bits[0, 16)
          }
          f9 :group {  # union tag = 1
            f6 @11 :Void;  # bits[0, 0)
            f7 @10 :Int16;  # bits[0, 16)
            f8 @17 :UInt32;  # bits[96, 128)
          }
        }
      }
      f11 @12 :Bool;  # bits[0, 1), union tag = 2
      f12 @1 :UInt32;  # bits[0, 32), union tag = 0
    }
  }
  f14 @5 :Int8;  # bits[80, 88)
  f15 @0 :Text;  # ptr[0]
  f18 :group {
    union {  # tag bits [208, 224)
      f16 @8 :UInt64;  # bits[128, 192), union tag = 0
      f17 @15 :UInt32;  # bits[128, 160), union tag = 1
    }
  }
  f28 :group {
    union {  # tag bits [48, 64)
      f19 @13 :Text;  # ptr[1], union tag = 2
      f20 @2 :Data;  # ptr[1], union tag = 0
      f27 :group {  # union tag = 1
        union {  # tag bits [192, 208)
          f24 :group {  # union tag = 0
            union {  # tag bits [224, 240)
              f21 @18 :UInt16;  # bits[64, 80), union tag = 1
              f22 @19 :Void;  # bits[0, 0), union tag = 2
              f23 @4 :UInt16;  # bits[64, 80), union tag = 0
            }
          }
          f25 @16 :UInt16;  # bits[64, 80), union tag = 2
          f26 @14 :UInt16;  # bits[64, 80), union tag = 1
        }
      }
    }
  }
}
struct S74 @0xdcbaefee69964807 {  # 56 bytes, 5 ptrs
  f12 :group {
    union {  # tag bits [64, 80)
      f4 :group {  # union tag = 0
        union {  # tag bits [128, 144)
          f1 @9 :Void;  # bits[0, 0), union tag = 1
          f2 @0 :Data;  # ptr[0], union tag = 0
          f3 @19 :UInt64;  # bits[384, 448), union tag = 2
        }
      }
      f9 :group {  # union tag = 1
        union {  # tag bits [112, 128)
          f7 :group {  # union tag = 0
            f5 @21 :Bool;  # bits[384, 385)
            f6 @2 :UInt64;  # bits[128, 192)
          }
          f8 @11 :UInt8;  # bits[128, 136), union tag = 1
        }
      }
      f10 @6 :UInt32;  # bits[128, 160), union tag = 2
      f11 @13 :UInt16;  # bits[112, 128), union tag = 3
    }
  }
  f29 :group {
    f15 :group {
      union {  # tag bits [272, 288)
        f13 @20 :Text;  # ptr[4], union tag = 1
        f14 @15 :Float64;  # bits[320, 384), union tag = 0
      }
    }
    f25 :group {
      union {  # tag bits [96, 112)
        f18 :group {  # union tag = 1
          union {  # tag bits [80, 96)
            f16 @10 :Float64;  # bits[192, 256), union tag = 0
            f17 @17 :Bool;  # bits[192, 193), union tag = 1
          }
        }
        f19 @12 :Bool;  # bits[80, 81), union tag = 2
        f24 :group {  # union tag = 0
          union {  # tag bits [80, 96)
            f20 @8 :Bool;  # bits[192, 193), union tag = 3
            f21 @4 :UInt64;  # bits[192, 256), union tag = 0
            f22 @5 :Data;  # ptr[2], union tag = 1
            f23 @7 :UInt16;  # bits[192, 208), union tag = 2
          }
        }
      }
    }
    f28 :group {
      union {  # tag bits [288, 304)
        f26 @1 :Float64;  # bits[0, 64), union tag = 0
        f27 @22 :Int8;  # bits[0, 8), union tag = 1
      }
    }
  }
  f30 @18 :UInt8;  # bits[264, 272)
  f31 @16 :Data;  # ptr[3]
  f32 @3 :Data;  # ptr[1]
  f33 @14 :Bool;  # bits[256, 257)
}
struct S75 @0xe12aafbc16ffa360 {  # 32 bytes, 2 ptrs
  f1 @5 :Int32;  # bits[128, 160)
  f10 :group {
    union {  # tag bits [48, 64)
      f2 @6 :Int32;  # bits[160, 192), union tag = 1
      f3 @10 :Bool;  # bits[16, 17), union tag = 2
      f6 :group {  # union tag = 3
        union {  # tag bits [160, 176)
          f4 @13 :Bool;  # bits[192, 193), union tag = 1
          f5 @11 :Float64;  # bits[192, 256), union tag = 0
        }
      }
      f9 :group {  # union tag = 0
        union {  # tag bits [160, 176)
          f7 @3 :Bool;  # bits[16, 17), union tag = 0
          f8 @7 :Text;  # ptr[0], union tag = 1
        }
      }
    }
  }
  f12 :group {
    f11 @9 :List(Int8);  # ptr[1]
  }
  f13 @2 :Int8;  # bits[8, 16)
  f14 @0 :Int8;  # bits[0, 8)
  f22 :group {
    union {  # tag bits [32, 48)
      f18 :group {  # union tag = 1
        f15 @12 :Float64;  # bits[64, 128)
        f16 @4 :Void;  # bits[0, 0)
        f17 @15 :Void;  # bits[0, 0)
      }
      f19 @14 :Bool;  # bits[64, 65), union tag = 3
      f20 @8 :Bool;  # bits[64, 65), union tag = 2
      f21 @1 :Int64;  # bits[64, 128), union tag = 0
    }
  }
}
struct S76 @0xd425cded7fe393a0 {  # 16 bytes, 0 ptrs
  f1 @0 :UInt16;  # bits[0, 16)
  f2 @1 :Int8;  # bits[16, 24)
  f3 @4 :Bool;  # bits[64, 65)
  f4 @3 :Float32;  # bits[32, 64)
  f5 @6 :Bool;  # bits[65, 66)
  f6 @2 :Int8;  # bits[24, 32)
  f7 @5 :UInt32;  # bits[96, 128)
}
struct S77 @0xff2449398dc0c1dc {  # 16 bytes, 2 ptrs
  f7 :group {
    union {  # tag bits [112, 128)
      f5 :group {  # union tag = 0
        union {  # tag bits [80, 96)
          f1 @4 :UInt16;  # bits[64, 80), union tag = 2
          f2 @9 :Data;  # ptr[1], union tag = 3
          f3 @2 :UInt16;  # bits[64, 80), union tag = 0
          f4 @3 :Bool;  # bits[64, 65), union tag = 1
        }
      }
      f6 @8 :Bool;  # bits[64, 65), union tag = 1
    }
  }
  f8 @5 :Void;  # bits[0, 0)
  f9 @7 :UInt8;  # bits[104, 112)
  f10 @0 :Text;  # ptr[0]
  f11 @6 :Bool;  # bits[96, 97)
  f12 @1 :Int64;  # bits[0, 64)
}
struct S78 @0x8e7bde787ade8c8a {  # 40 bytes, 2 ptrs
  f1 @4 :UInt64;  # bits[128, 192)
  f16 :group {
    f15 :group {
      union {  # tag bits [16, 32)
        f4 :group {  # union tag = 1
          union {  # tag bits [192, 208)
            f2 @11 :Float32;  # bits[64, 96), union tag = 1
            f3 @2 :UInt64;  # bits[64, 128), union tag = 0
          }
        }
        f7 :group {  # union tag = 3
          union {  # tag bits [64, 80)
            f5 @14 :Bool;  # bits[0, 1), union tag = 1
            f6 @13 :Int8;  # bits[0, 8), union tag = 0
          }
        }
        f11 :group {  # union tag = 0
          union {  # tag bits [64, 80)
            f8 @5 :UInt64;  # bits[192, 256), union tag = 1
            f9 @0 :Int8;  # bits[0, 8), union tag = 0
            f10 @9 :Int16;  # bits[192, 208), union tag = 2
          }
        }
        f14 :group {  # union tag = 2
          union {  # tag bits [96, 112)
            f12 @3 :Int32;  # bits[64, 96), union tag = 0
            f13 @8 :Text;  # ptr[1], union tag = 1
          }
        }
      }
    }
  }
  f17 @1 :Bool;  # bits[8, 9)
  f18 @6 :UInt16;  # bits[32, 48)
  f20 :group {
    f19 @7 :Text;  # ptr[0]
  }
  f21 @10 :Int16;  # bits[48, 64)
  f22 @12 :Int16;  # bits[256, 272)
}
struct S79 @0xc884f0fc3a1157ae {  # 56 bytes, 1 ptrs
  f1 @9 :Void;  # bits[0, 0)
  f10 :group {
    union {  # tag bits [144, 160)
      f4 :group {  # union tag = 1
        union {  # tag bits [192, 208)
          f2 @12 :UInt32;  # bits[160, 192), union tag = 1
          f3 @7 :Data;  # ptr[0], union tag = 0
        }
      }
      f9 :group {  # union tag = 0
        union {  # tag bits [160, 176)
          f7 :group {  # union tag = 1
            f5 @10 :Int16;  # bits[192, 208)
            f6 @8 :Int8;  # bits[176, 184)
          }
          f8 @0 :Data;  # ptr[0], union tag = 0
        }
      }
    }
  }
  f16 :group {
    f15 :group {
      union {  # tag bits [288, 304)
        f13 :group {  # union tag = 0
          union {  # tag bits [128, 144)
            f11 @2 :UInt64;  # bits[64, 128), union tag = 0
            f12 @6 :Void;  # bits[0, 0), union tag = 1
          }
        }
        f14 @19 :Bool;  # bits[128, 129), union tag = 1
      }
    }
  }
  f17 @4 :Int16;  # bits[48, 64)
  f18 @22 :Int64;  # bits[384, 448)
  f19 @14 :Int16;  # bits[256, 272)
  f36 :group {
    union {  # tag bits [32, 48)
      f25 :group {  # union tag = 0
        union {  # tag bits [208, 224)
          f23 :group {  # union tag = 1
            f20 @11 :Int32;  # bits[0, 32)
            f21 @21 :Int64;  # bits[320, 384)
            f22 @16 :UInt8;  # bits[224, 232)
          }
          f24 @1 :Float32;  # bits[0, 32), union tag = 0
        }
      }
      f34 :group {  # union tag = 1
        f29 :group {
          union {  # tag bits [16, 32)
            f26 @13 :UInt32;  # bits[224, 256), union tag = 1
            f27 @17 :Int16;  # bits[224, 240), union tag = 2
            f28 @3 :Int8;  # bits[0, 8), union tag = 0
          }
        }
        f30 @18 :Int16;  # bits[272, 288)
        f33 :group {
          f31 @5 :Void;  # bits[0, 0)
          f32 @15 :UInt16;  # bits[208, 224)
        }
      }
      f35 @20 :Float64;  # bits[320, 384), union tag = 2
    }
  }
}
struct S80 @0xc23ac43e385c2393 {  # 40 bytes, 2 ptrs
  f6 :group {
    union {  # tag bits [80, 96)
      f1 @3 :Int8;  # bits[64, 72), union tag = 0
      f2 @10 :List(Int8);  # ptr[0], union tag = 2
      f5 :group {  # union tag = 1
        union {  # tag bits [64, 80)
          f3 @7 :Int16;  # bits[96, 112), union tag = 1
          f4 @4 :Text;  # ptr[0], union tag = 0
        }
      }
    }
  }
  f7 @0 :Int8;  # bits[0, 8)
  f18 :group {
    union {  # tag bits [112, 128)
      f16 :group {  # union tag = 0
        f11 :group {
          union {  # tag bits [192, 208)
            f8 @9 :Bool;  # bits[9, 10), union tag = 1
            f9 @6 :List(Int8);  # ptr[1], union tag = 0
            f10 @11 :Float64;  # bits[256, 320), union tag = 2
          }
        }
        f15 :group {
          union {  # tag bits [16, 32)
            f12 @2 :Int32;  # bits[32, 64), union tag = 1
            f13 @5 :UInt64;  # bits[128, 192), union tag = 2
            f14 @1 :Bool;  # bits[8, 9), union tag = 0
          }
        }
      }
      f17 @8 :Data;  # ptr[1], union tag = 1
    }
  }
}
struct S81 @0x87f176c50db3a9a0 {  # 40 bytes, 0 ptrs
  f1 @12 :Int16;  # bits[176, 192)
  f2 @11 :Void;  # bits[0, 0)
  f3 @2 :Bool;  # bits[96, 97)
  f4 @1 :Int32;  # bits[64, 96)
  f5 @7 :UInt8;  # bits[144, 152)
  f6 @5 :UInt8;  # bits[104, 112)
  f9 :group {
    f7 @13 :Float32;  # bits[256, 288)
    f8 @3 :Int16;  # bits[112, 128)
  }
  f10 @14 :Void;  # bits[0, 0)
  f11 @9 :Bool;  # bits[98, 99)
  f12 @6 :Bool;  # bits[97, 98)
  f14 :group {
    f13 @0 :Int64;  # bits[0, 64)
  }
  f15 @10 :UInt16;  # bits[160, 176)
  f16 @8 :Float64;  # bits[192, 256)
  f17 @4 :Int16;  # bits[128, 144)
}
struct S82 @0xd0684de53a9e13a7 {  # 0 bytes, 1 ptrs
  f1 @0 :List(Int8);  # ptr[0]
}
struct S83 @0x810bb157eac89286 {  # 16 bytes, 1 ptrs
  f1 @1 :UInt16;  # bits[64, 80)
  f12 :group {
    union {  # tag bits [80, 96)
      f9 :group {  # union tag = 1
        union {  # tag bits [16, 32)
          f4 :group {  # union tag = 0
            f2 @3 :Int16;  # bits[0, 16)
            f3 @2 :Void;  # bits[0, 0)
          }
          f5 @4 :Int16;  # bits[0, 16), union tag = 1
          f8 :group {  # union tag = 2
            union {  # tag bits [0, 16)
              f6 @6 :UInt32;  # bits[32, 64), union tag = 1
              f7 @5 :List(Int8);  # ptr[0], union tag = 0
            }
          }
        }
      }
      f10 @0 :Float64;  # bits[0, 64), union tag = 0
      f11 @7 :Int32;  # bits[0, 32), union tag = 2
    }
  }
}
struct S84 @0x914a0ff5cfad72ce {  # 56 bytes, 4 ptrs
  f1 @3 :UInt32;  # bits[64, 96)
  f2 @8 :Int32;  # bits[160, 192)
  f3 @13 :UInt32;  # bits[288, 320)
  f4 @2 :Text;  # ptr[0]
  f13 :group {
    union {  # tag bits [272, 288)
      f5 @14 :Int8;  # bits[96, 104), union tag = 1
      f6 @16 :Int64;  # bits[320, 384), union tag = 2
      f12 :group {  # union tag = 0
        union {  # tag bits [320, 336)
          f7 @15 :Text;  # ptr[2], union tag = 1
          f11 :group {  # union tag = 0
            union {  # tag bits [96, 112)
              f8 @9 :Int8;  # bits[0, 8), union tag = 2
              f9 @5 :List(Int8);  # ptr[2], union tag = 1
              f10 @0 :Float32;  # bits[0, 32), union tag = 0
            }
          }
        }
      }
    }
  }
  f14 @11 :UInt16;  # bits[256, 272)
  f15 @1 :UInt32;  # bits[32, 64)
  f16 @17 :Int16;  # bits[384, 400)
  f17 @6 :UInt32;  # bits[128, 160)
  f18 @12 :Text;  # ptr[3]
  f23 :group {
    f20 :group {
      f19 @7 :Bool;  # bits[112, 113)
    }
    f21 @4 :List(Int8);  # ptr[1]
    f22 @10 :UInt64;  # bits[192, 256)
  }
}
struct S85 @0xaf848c3cb599aca9 {  # 8 bytes, 0 ptrs
  f1 @0 :UInt64;  # bits[0, 64)
}
struct S86 @0xcb5d2d0de315593a {  # 40 bytes, 4 ptrs
  f1 @20 :UInt32;  # bits[256, 288)
  f13 :group {
    union {  # tag bits [16, 32)
      f5 :group {  # union tag = 2
        union {  # tag bits [80, 96)
          f2 @5 :Bool;  # bits[64, 65), union tag = 0
          f3 @14 :Data;  # ptr[2], union tag = 2
          f4 @10 :Float32;  # bits[96, 128), union tag = 1
        }
      }
      f10 :group {  # union tag = 0
        f8 :group {
          f6 @7 :Int16;  # bits[192, 208)
          f7 @13 :Int8;  # bits[208, 216)
        }
        f9 @2 :Int64;  # bits[64, 128)
      }
      f11 @3 :UInt16;  # bits[64, 80), union tag = 1
      f12 @8 :UInt16;  # bits[192, 208), union tag = 3
    }
  }
  f16 :group {
    f14 @6 :Int16;  # bits[48, 64)
    f15 @12 :Data;  # ptr[1]
  }
  f17 @15 :Bool;  # bits[1, 2)
  f20 :group {
    union {  # tag bits [240, 256)
      f18 @19 :Text;  # ptr[3], union tag = 0
      f19 @21 :UInt32;  # bits[288, 320), union tag = 1
    }
  }
  f23 :group {
    union {  # tag bits [224, 240)
      f21 @16 :Bool;  # bits[2, 3), union tag = 1
      f22 @9 :Void;  # bits[0, 0), union tag = 0
    }
  }
  f31 :group {
    union {  # tag bits [32, 48)
      f29 :group {  # union tag = 0
        f24 @17 :Int32;  # bits[160, 192)
        f27 :group {
          union {  # tag bits [144, 160)
            f25 @11 :Bool;  # bits[128, 129), union tag = 0
            f26 @18 :UInt8;  # bits[128, 136), union tag = 1
          }
        }
        f28 @0 :Bool;  # bits[0, 1)
      }
      f30 @4 :UInt64;  # bits[128, 192), union tag = 1
    }
  }
  f32 @1 :List(Int8);  # ptr[0]
}
struct S87 @0xc83b4f040b393cc7 {  # 16 bytes, 2 ptrs
  f1 @5 :UInt32;  # bits[64, 96)
  f13 :group {
    union {  # tag bits [16, 32)
      f5 :group {  # union tag = 0
        f2 @0 :UInt16;  # bits[0, 16)
        f3 @7 :Bool;  # bits[32, 33)
        f4 @2 :Text;  # ptr[0]
      }
      f12 :group {  # union tag = 1
        f9 :group {
          union {  # tag bits [0, 16)
            f6 @1 :List(Int8);  # ptr[0], union tag = 0
            f7 @8 :UInt8;  # bits[96, 104), union tag = 2
            f8 @6 :Data;  # ptr[0], union tag = 1
          }
        }
        f10 @3 :Int32;  # bits[32, 64)
        f11 @4 :List(Int8);  # ptr[1]
      }
    }
  }
}
struct S88 @0xccc666e7a18084d6 {  # 24 bytes, 0 ptrs
  f1 @4 :UInt64;  # bits[128, 192)
  f2 @1 :Void;  # bits[0, 0)
  f9 :group {
    union {  # tag bits [16, 32)
      f7 :group {  # union tag = 0
        union {  # tag bits [64, 80)
          f3 @0 :UInt16;  # bits[0, 16), union tag = 0
          f4 @3 :UInt16;  # bits[0, 16), union tag = 1
          f5 @6 :UInt32;  # bits[96, 128), union tag = 3
          f6 @5 :Bool;  # bits[0, 1), union tag = 2
        }
      }
      f8 @2 :UInt64;  # bits[64, 128), union tag = 1
    }
  }
}
struct S89 @0x921af0eed75beab1 {  # 72 bytes, 4 ptrs
  f1 @12 :UInt8;  # bits[216, 224)
  f2 @15 :UInt64;  # bits[384, 448)
  f11 :group {
    f3 @7 :UInt64;  # bits[128, 192)
    f4 @5 :Text;  # ptr[0]
    f10 :group {
      union {  # tag bits [464, 480)
        f5 @19 :Float32;  # bits[320, 352), union tag = 1
        f9 :group {  # union tag = 0
          union {  # tag bits [224, 240)
            f6 @9 :Bool;  # bits[208, 209), union tag = 0
            f7 @14 :UInt64;  # bits[320, 384), union tag = 1
            f8 @23 :UInt64;  # bits[320, 384), union tag = 2
          }
        }
      }
    }
  }
  f12 @6 :UInt32;  # bits[96, 128)
  f13 @11 :Int64;  # bits[256, 320)
  f20 :group {
    f18 :group {
      f16 :group {
        union {  # tag bits [240, 256)
          f14 @16 :Text;  # ptr[3], union tag = 1
          f15 @2 :Int32;  # bits[32, 64), union tag = 0
        }
      }
      f17 @17 :Bool;  # bits[209, 210)
    }
    f19 @3 :Int16;  # bits[16, 32)
  }
  f21 @21 :Int64;  # bits[512, 576)
  f31 :group {
    f28 :group {
      f22 @1 :UInt8;  # bits[8, 16)
      f27 :group {
        union {  # tag bits [192, 208)
          f23 @20 :Bool;  # bits[0, 1), union tag = 2
          f24 @22 :Int16;  # bits[480, 496), union tag = 3
          f25 @8 :UInt8;  # bits[0, 8), union tag = 1
          f26 @0 :Bool;  # bits[0, 1), union tag = 0
        }
      }
    }
    f29 @13 :Data;  # ptr[2]
    f30 @10 :List(Int8);  # ptr[1]
  }
  f32 @18 :UInt16;  # bits[448, 464)
  f33 @4 :Float32;  # bits[64, 96)
}
struct S90 @0xd7166ec840304a09 {  # 16 bytes, 2 ptrs
  f12 :group {
    f10 :group {
      union {  # tag bits [80, 96)
        f4 :group {  # union tag = 0
          union {  # tag bits [64, 80)
            f1 @1 :Int64;  # bits[0, 64), union tag = 1
            f2 @0 :Float64;  # bits[0, 64), union tag = 0
            f3 @6 :List(Int8);  # ptr[0], union tag = 2
          }
        }
        f7 :group {  # union tag = 1
          f5 @2 :Int64;  # bits[0, 64)
          f6 @5 :Float32;  # bits[96, 128)
        }
        f8 @3 :Int8;  # bits[64, 72), union tag = 2
        f9 @4 :Bool;  # bits[64, 65), union tag = 3
      }
    }
    f11 @7 :Text;  # ptr[1]
  }
}
struct S91 @0xc0ee3f67aaff39a7 {  # 48 bytes, 3 ptrs
  f1 @8 :Bool;  # bits[88, 89)
  f2 @7 :Text;  # ptr[0]
  f15 :group {
    union {  # tag bits [64, 80)
      f5 :group {  # union tag = 1
        union {  # tag bits [96, 112)
          f3 @5 :UInt64;  # bits[128, 192), union tag = 1
          f4 @3 :Int32;  # bits[32, 64), union tag = 0
        }
      }
      f6 @9 :Int32;  # bits[32, 64), union tag = 2
      f14 :group {  # union tag = 0
        union {  # tag bits [48, 64)
          f9 :group {  # union tag = 1
            f7 @2 :Int16;  # bits[32, 48)
            f8 @14 :Data;  # ptr[2]
          }
          f12 :group {  # union tag = 0
            union {  # tag bits [96, 112)
              f10 @13 :Int8;  # bits[32, 40), union tag = 1
              f11 @1 :Int16;  # bits[32, 48), union tag = 0
            }
          }
          f13 @16 :Data;  # ptr[2], union tag = 2
        }
      }
    }
  }
  f16 @11 :List(Int8);  # ptr[1]
  f17 @12 :UInt32;  # bits[288, 320)
  f18 @17 :UInt16;  # bits[112, 128)
  f19 @4 :UInt8;  # bits[80, 88)
  f20 @0 :Int32;  # bits[0, 32)
  f25 :group {
    f22 :group {
      f21 @10 :Float32;  # bits[256, 288)
    }
    f23 @15 :UInt64;  # bits[320, 384)
    f24 @6 :Float64;  # bits[192, 256)
  }
}
struct S92 @0x9077d909794d49e2 {  # 72 bytes, 3 ptrs
  f1 @4 :Float64;  # bits[64, 128)
  f2 @14 :Int32;  # bits[320, 352)
  f4 :group {
    f3 @18 :Float64;  # bits[448, 512)
  }
  f5 @17 :Int64;  # bits[384, 448)
  f8 :group {
    union {  # tag bits [0, 16)
      f6 @0 :List(Int8);  # ptr[0], union tag = 0
      f7 @1 :UInt32;  # bits[32, 64), union tag = 1
    }
  }
  f16 :group {
    f15 :group {
      f9 @13 :UInt64;  # bits[256, 320)
      f10 @12 :List(Int8);  # ptr[2]
      f14 :group {
        union {  # tag bits [128, 144)
          f11 @11 :UInt32;  # bits[192, 224), union tag = 2
          f12 @7 :Float64;  # bits[192, 256), union tag = 1
          f13 @5 :Void;  # bits[0, 0), union tag = 0
        }
      }
    }
  }
  f28 :group {
    f26 :group {
      f21 :group {
        union {  # tag bits [144, 160)
          f17 @8 :Bool;  # bits[24, 25), union tag = 1
          f18 @6 :Bool;  # bits[24, 25), union tag = 0
          f19 @9 :UInt8;  # bits[24, 32), union tag = 2
          f20 @20 :Int32;  # bits[352, 384), union tag = 3
        }
      }
      f25 :group {
        union {  # tag bits [176, 192)
          f22 @2 :Int8;  # bits[16, 24), union tag = 0
          f23 @15 :Bool;  # bits[16, 17), union tag = 1
          f24 @16 :UInt8;  # bits[16, 24), union tag = 2
        }
      }
    }
    f27 @10 :UInt16;  # bits[160, 176)
  }
  f29 @3 :List(Int8);  # ptr[1]
  f30 @19 :Float64;  # bits[512, 576)
}
struct S93 @0xb4daa68c0f2b07ab {  # 32 bytes, 1 ptrs
  f13 :group {
    union {  # tag bits [16, 32)
      f1 @1 :Int16;  # bits[0, 16), union tag = 1
      f8 :group {  # union tag = 2
        union {  # tag bits [0, 16)
          f4 :group {  # union tag = 1
            union {  # tag bits [48, 64)
              f2 @10 :UInt16;  # bits[32, 48), union tag = 0
              f3 @11 :Text;  # ptr[0], union tag = 1
            }
          }
          f7 :group {  # union tag = 0
            f5 @2 :Int32;  # bits[32, 64)
            f6 @9 :Void;  # bits[0, 0)
          }
        }
      }
      f9 @12 :Int16;  # bits[0, 16), union tag = 3
      f12 :group {  # union tag = 0
        union {  # tag bits [32, 48)
          f10 @4 :Bool;  # bits[0, 1), union tag = 1
          f11 @0 :Bool;  # bits[0, 1), union tag = 0
        }
      }
    }
  }
  f14 @6 :Void;  # bits[0, 0)
  f15 @5 :Void;  # bits[0, 0)
  f16 @13 :UInt64;  # bits[192, 256)
  f17 @7 :UInt8;  # bits[128, 136)
  f18 @8 :UInt8;  # bits[136, 144)
  f19 @3 :Float64;  # bits[64, 128)
}
struct S94 @0xbc19e0deb3dee107 {  # 16 bytes, 1 ptrs
  f1 @5 :UInt16;  # bits[112, 128)
  f2 @0 :Text;  # ptr[0]
  f8 :group {
    f3 @4 :Int16;  # bits[96, 112)
    f7 :group {
      f5 :group {
        f4 @1 :Void;  # bits[0, 0)
      }
      f6 @2 :UInt64;  # bits[0, 64)
    }
  }
  f9 @3 :UInt32;  # bits[64, 96)
}
struct S95 @0xb1b3f98acc3eb10a {  # 56 bytes, 2 ptrs
  f1 @8 :Data;  # ptr[0]
  f8 :group {
    union {  # tag bits [48, 64)
      f2 @10 :UInt64;  # bits[64, 128), union tag = 2
      f3 @2 :Float64;  # bits[64, 128), union tag = 0
      f7 :group {  # union tag = 1
        union {  # tag bits [80, 96)
          f4 @14 :UInt16;  # bits[64, 80), union tag = 2
          f5 @3 :Int16;  # bits[64, 80), union tag = 0
          f6 @7 :Int8;  # bits[64, 72), union tag = 1
        }
      }
    }
  }
  f9 @12 :Float64;  # bits[320, 384)
  f10 @4 :UInt8;  # bits[40, 48)
  f11 @9 :List(Int8);  # ptr[1]
  f12 @0 :UInt32;  # bits[0, 32)
  f13 @1 :Int8;  # bits[32, 40)
  f14 @6 :UInt64;  # bits[192, 256)
  f18 :group {
    union {  # tag bits [144, 160)
      f16 :group {  # union tag = 1
        f15 @16 :UInt8;  # bits[384, 392)
      }
      f17 @13 :Int64;  # bits[384, 448), union tag = 0
    }
  }
  f19 @11 :Float64;  # bits[256, 320)
  f20 @5 :Int16;  # bits[128, 144)
  f21 @15 :Void;  # bits[0, 0)
}
struct S96 @0xeb8e901b6ef82b52 {  # 32 bytes, 1 ptrs
  f1 @3 :Int16;  # bits[16, 32)
  f8 :group {
    f5 :group {
      union {  # tag bits [64, 80)
        f2 @7 :Int32;  # bits[96, 128), union tag = 2
        f3 @1 :Bool;  # bits[0, 1), union tag = 0
        f4 @4 :UInt16;  # bits[0, 16), union tag = 1
      }
    }
    f6 @10 :UInt16;  # bits[144, 160)
    f7 @5 :Int8;  # bits[80, 88)
  }
  f9 @2 :Int32;  # bits[32, 64)
  f10 @9 :Int64;  # bits[192, 256)
  f11 @8 :UInt16;  # bits[128, 144)
  f12 @0 :Void;  # bits[0, 0)
  f13 @6 :Text;  # ptr[0]
}
struct S97 @0xd5e5f0d5a7ae450c {  # 8 bytes, 0 ptrs
  f1 @1 :Void;  # bits[0, 0)
  f2 @2 :Float32;  # bits[32, 64)
  f3 @0 :Int16;  # bits[0, 16)
}
struct S98 @0xf11a71e914df0b00 {  # 8 bytes, 0 ptrs
  f1 @0 :Int16;  # bits[0, 16)
}
struct S99 @0xffbac59e27c54f3a {  # 24 bytes, 1 ptrs
  f1 @1 :Void;  # bits[0, 0)
  f11 :group {
    union {  # tag bits [32, 48)
      f2 @7 :Int8;  # bits[0, 8), union tag = 3
      f3 @0 :UInt32;  # bits[0, 32), union tag = 0
      f4 @2 :Text;  # ptr[0], union tag = 1
      f10 :group {  # union tag = 2
        f7 :group {
          union {  # tag bits [0, 16)
            f5 @4 :Text;  # ptr[0], union tag = 1
            f6 @3 :Float64;  # bits[64, 128), union tag = 0
          }
        }
        f8 @6 :Float32;  # bits[160, 192)
        f9 @5 :Float32;  # bits[128, 160)
      }
    }
  }
}
