// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// As much of CppCommon as CppTrader's ITCH handler needs to be compiled, written for this purpose: loads of big-endian numbers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace CppCommon
{
struct Endian {
	static constexpr bool IsBigEndian()
	{
		return std::endian::native == std::endian::big;
	}

	static size_t ReadBigEndian(const void *buffer, uint16_t &value)
	{
		memcpy(&value, buffer, sizeof(value));
		if (!IsBigEndian())
			value = __builtin_bswap16(value);
		return sizeof(value);
	}

	static size_t ReadBigEndian(const void *buffer, uint32_t &value)
	{
		memcpy(&value, buffer, sizeof(value));
		if (!IsBigEndian())
			value = __builtin_bswap32(value);
		return sizeof(value);
	}

	static size_t ReadBigEndian(const void *buffer, uint64_t &value)
	{
		memcpy(&value, buffer, sizeof(value));
		if (!IsBigEndian())
			value = __builtin_bswap64(value);
		return sizeof(value);
	}
};
} // namespace CppCommon
