# SPDX-License-Identifier: Apache-2.0
#
# Shows Doxygen the enum that the error table in error.h becomes, with the texts as its comments.
/^ *X\(/ {
    split($0, quoted, "\"")
    split($0, word, /[(,] */)
    enumerators = enumerators "    DP_" word[2] " = " word[3] ", /**< " quoted[2] " */\n"
}
/DP_ERROR_TABLE\(DP__ERROR_ENUM\)/ {
    printf "%s", enumerators
    next
}
!/(define|undef) DP__ERROR_ENUM/
