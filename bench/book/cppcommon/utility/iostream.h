// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Stand-in for CppCommon: what prints messages, which nobody calls here.
#pragma once

#include <iostream>
#include <memory>
#include <string>

namespace CppCommon
{
inline char WriteChar(char value)
{
	return value;
}

template <size_t size> std::string WriteString(const char (&value)[size])
{
	return std::string(value, size);
}
} // namespace CppCommon
