# The join_statement of line.py for compiled modules: same bytes, and the one object they are in.
cdef extern from *:
    """
    #include <string.h>

    typedef struct { const char *data; Py_ssize_t size; } accode_piece;

    #define ACCODE_LITERAL(text) ((accode_piece){text, sizeof(text) - 1})
    #define ACCODE_NUMBER_SIZE 20  /* -9223372036854775808 */

    static const char accode_pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

    static inline accode_piece accode_number(char *room, long long value)
    {
        char *end = room + ACCODE_NUMBER_SIZE, *at = end;
        unsigned long long rest = value < 0 ? 0 - (unsigned long long)value
                                            : (unsigned long long)value;
        while (rest >= 100) {
            at -= 2;
            memcpy(at, accode_pairs + 2 * (rest % 100), 2);
            rest /= 100;
        }
        if (rest >= 10) {
            at -= 2;
            memcpy(at, accode_pairs + 2 * rest, 2);
        } else {
            *--at = (char)('0' + rest);
        }
        if (value < 0)
            *--at = '-';
        return (accode_piece){at, end - at};
    }

    /* An empty one with a size of -1 for what is not ASCII. */
    static inline accode_piece accode_ascii(PyObject *text)
    {
        if (!PyUnicode_IS_COMPACT_ASCII(text))
            return (accode_piece){"", -1};
        return (accode_piece){(const char *)PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)};
    }

    static PyObject *accode_join_statement(
        long long sequence, PyObject *front, long long number, long long time,
        long long microseconds, PyObject *sort, long long rows, long long bytes_out,
        PyObject *tag, long long bytes_in, PyObject *more, PyObject *text, PyObject *prev)
    {
        char numbers[7][ACCODE_NUMBER_SIZE];
        const accode_piece pieces[] = {
            ACCODE_LITERAL("{\\"sequence\\":"),
            accode_number(numbers[0], sequence),
            accode_ascii(front),
            accode_number(numbers[1], number),
            ACCODE_LITERAL("\\",\\"time\\":"),
            accode_number(numbers[2], time),
            ACCODE_LITERAL(",\\"us\\":"),
            accode_number(numbers[3], microseconds),
            accode_ascii(sort),
            accode_number(numbers[4], rows),
            ACCODE_LITERAL(",\\"out\\":"),
            accode_number(numbers[5], bytes_out),
            accode_ascii(tag),
            bytes_in ? ACCODE_LITERAL(",\\"in\\":") : (accode_piece){"", 0},
            bytes_in ? accode_number(numbers[6], bytes_in) : (accode_piece){"", 0},
            accode_ascii(more),
            ACCODE_LITERAL(",\\"text\\":\\""),
            {PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)},
            ACCODE_LITERAL("\\",\\"prev\\":\\""),
            accode_ascii(prev),
            ACCODE_LITERAL("\\"}"),
        };
        const size_t count = sizeof(pieces) / sizeof(pieces[0]);
        Py_ssize_t size = 0;
        PyObject *line;
        char *at;
        size_t i;

        for (i = 0; i < count; i++) {
            if (pieces[i].size < 0) {
                PyErr_SetString(PyExc_ValueError, "a part of an audit line is not ASCII");
                return NULL;
            }
            size += pieces[i].size;
        }
        line = PyBytes_FromStringAndSize(NULL, size);
        if (line == NULL)
            return NULL;
        at = PyBytes_AS_STRING(line);
        for (i = 0; i < count; i++) {
            memcpy(at, pieces[i].data, (size_t)pieces[i].size);
            at += pieces[i].size;
        }
        return line;
    }
    """
    bytes join_statement "accode_join_statement"(
        long long sequence, str front, long long number, long long time,
        long long microseconds, str sort, long long rows, long long bytes_out,
        str tag, long long bytes_in, str more, bytes text, str prev)
