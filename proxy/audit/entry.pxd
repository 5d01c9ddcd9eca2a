# The write_entry of entry.py for compiled modules: same layout, no Python object.
cdef extern from *:
    """
    #include <endian.h>
    #include <stdint.h>
    #include <string.h>

    /* CRC-32 as zlib's (ITU-T V.42, reflected 0xEDB88320): zlib's own is not always there
       to link to. Four bytes in a step ("slicing"): byte by byte each would wait for the last. */
    static uint32_t accode_crc_table[4][256];

    static void accode_fill_crc_table(void)
    {
        uint32_t code;
        int slice, bit;

        for (code = 0; code < 256; code++) {
            uint32_t value = code;
            for (bit = 0; bit < 8; bit++)
                value = value & 1 ? (value >> 1) ^ 0xEDB88320u : value >> 1;
            accode_crc_table[0][code] = value;
        }
        for (slice = 1; slice < 4; slice++)
            for (code = 0; code < 256; code++) {
                uint32_t value = accode_crc_table[slice - 1][code];
                accode_crc_table[slice][code] = (value >> 8) ^ accode_crc_table[0][value & 0xFF];
            }
    }

    static inline uint32_t accode_crc(uint32_t crc, const unsigned char *data, size_t size)
    {
        if (accode_crc_table[0][1] == 0)
            accode_fill_crc_table();
        crc = ~crc;
        for (; size >= 4; size -= 4, data += 4) {
            uint32_t word;
            memcpy(&word, data, 4);
            crc ^= le32toh(word);
            crc = accode_crc_table[3][crc & 0xFF] ^ accode_crc_table[2][(crc >> 8) & 0xFF]
                ^ accode_crc_table[1][(crc >> 16) & 0xFF] ^ accode_crc_table[0][crc >> 24];
        }
        while (size--)
            crc = accode_crc_table[0][(crc ^ *data++) & 0xFF] ^ (crc >> 8);
        return ~crc;
    }

    static inline void accode_write_entry(
        unsigned char *view, long long place, int kind, long long epoch, long long session,
        long long number, double time, long long length, PyObject *text, Py_ssize_t stored)
    {
        unsigned char *at = view + place;
        const unsigned char *data = (const unsigned char *)PyBytes_AS_STRING(text);
        uint16_t stored_le = htole16((uint16_t)stored);
        uint32_t epoch_le = htole32((uint32_t)epoch);
        uint32_t session_le = htole32((uint32_t)session);
        uint64_t number_le = htole64((uint64_t)number);
        uint32_t length_le = htole32((uint32_t)length);
        uint32_t check;
        uint64_t time_le;

        memcpy(&time_le, &time, 8);
        time_le = htole64(time_le);
        at[0] = 0;
        at[1] = (unsigned char)kind;
        memcpy(at + 2, &stored_le, 2);
        memcpy(at + 4, &epoch_le, 4);
        memcpy(at + 8, &session_le, 4);
        memcpy(at + 12, &number_le, 8);
        memcpy(at + 20, &time_le, 8);
        memcpy(at + 28, &length_le, 4);
        check = accode_crc(accode_crc(0, at, 32), data, (size_t)stored);
        check = htole32(check);
        memcpy(at + 32, &check, 4);
        memcpy(at + 36, data, (size_t)stored);
    }
    """
    void write_entry "accode_write_entry"(unsigned char *view, long long place, int kind, long long epoch, long long session, long long number, double time, long long length, bytes text, Py_ssize_t stored)
