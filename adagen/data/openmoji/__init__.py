"""Scenes of OpenMoji glyphs with their captions: text to image that ships with a package.

The glyphs are those of OpenMoji, the open-source emoji and icon project, licence CC BY-SA 4.0
(https://openmoji.org). Pictures that show them have to say so.
"""
